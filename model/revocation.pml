/* The revocation plane: an issuer and its database, a follower of its feed, a verifier.
 *
 * `./run model` searches it in every configuration that is worth it (model/runs.py), and
 * docs/explanation/model.md explains it. By hand, with crashes for example:
 *
 *   spin -a -DCRASH model/revocation.pml
 *   cc -O1 -w -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -E -n -m1000000
 *   spin -t -p -g -DCRASH model/revocation.pml     (if an assertion failed: the history)
 *
 * The assertions are the properties S1 to S4 and L2; with CALM there are two formulas besides, fresh
 * and welcome, for `pan -a -f -N fresh`, compiled without -DSAFETY and with -DNFAIR=3.
 *
 * Configurations are made by switches:
 *
 *   CHANNEL   answers are lost, delayed, doubled, reordered and replayed
 *   CRASH     a node is killed and started again
 *   RESTORE   a backup is restored by the command, which begins an epoch
 *   PUT_BACK  an old database takes the place of the present one: copied back, or a failover that
 *             loses a tail
 *   UNNOTED   the head noted beside the key-encryption key is lost together with the database
 *   PROMOTE   a standby that has all that was acknowledged takes over: an epoch begins, tokens live
 *   KEYS      a signing key leaks, and whoever has it writes tokens as he likes
 *   UNFETCHED services cannot fetch the key set meanwhile
 *   CALM      faults come to an end: for what must happen at last
 *
 * A switch whose name begins with BROKEN takes one rule away. Spin must then find a history that
 * breaks a property.
 */

#ifndef BOUND
#ifdef CALM
#define BOUND 2
#else
#define BOUND 1 /* ticks that the route allows its view to be old */
#endif
#endif
#ifndef NODES
#define NODES 1
#endif
#ifndef TOKENS
#define TOKENS 1
#endif
#ifndef REVOCATIONS
#define REVOCATIONS 2
#endif
#ifndef EPOCHS
#define EPOCHS 1 /* that may begin after the first; three at most */
#endif
#ifndef SLOTS
#define SLOTS 1 /* answers that are under way at once */
#endif

#define LATE (BOUND + 1) /* ages count no further: what is older is alike */

/* --- facts, records, views ------------------------------------------------------------------ */

#define TOKEN 1 /* of token 0 */
#define CLIENT 2
#define EVERYTHING 3
#define KEY(kid) (4 + (kid))
#define REV(epoch, number) ((epoch) * 8 + (number))

/* `facts` is a digest without collisions: the facts themselves, six bits each. */
typedef Record {
  byte epoch;
  byte head;
  int facts
};

/* The latest fact of each kind. A token's own fact and a key's need no number: the first always
 * comes after its token, and who has a leaked key writes any number into a token. */
typedef View {
  bit token;
  byte client;
  byte everything;
  byte keys /* a bit each */
};

#define SAME_UP_TO(r, s) (s.head >= r.head && (s.facts >> (6 * (s.head - r.head))) == r.facts)
#ifdef BROKEN_DIGEST
#define CONTINUES(r, s) (s.head >= r.head)
#else
#define CONTINUES(r, s) SAME_UP_TO(r, s)
#endif
/* Whether an issuer that showed record r lacks it in record s, which it shows now. */
#define WENT_BACK(r, s) (s.epoch < r.epoch || (s.epoch == r.epoch && !CONTINUES(r, s)))

#ifdef BROKEN_EPOCH_IGNORED
#define LATER(fact, rev) ((fact) % 8 > (rev) % 8)
#else
#define LATER(fact, rev) ((fact) > (rev))
#endif
#ifdef BROKEN_KEY_BY_REV
#define KILLED_BY_KEY(v, t) ((v.keys & (1 << tokens[t].kid)) && tokens[t].rev != FORGED)
#else
#define KILLED_BY_KEY(v, t) (v.keys & (1 << tokens[t].kid))
#endif
#define KILLS(v, t) ((v.token && t == 0 && !tokens[t].renewed) || LATER(v.client, tokens[t].rev) || \
  LATER(v.everything, tokens[t].rev) || KILLED_BY_KEY(v, t))

hidden byte n, k, e, i_, t_;
hidden int digits;
hidden View remaining;


/* Add to a view the facts of a record whose numbers are above `above`. */
inline learn(seen, record, above) {
  n = record.head;
  digits = record.facts;
  do
  :: n > above ->
    k = digits & 7;
    e = (digits >> 3) & 3;
    if
    :: k == TOKEN -> seen.token = 1
    :: k == CLIENT && REV(e, n) > seen.client -> seen.client = REV(e, n)
    :: k == EVERYTHING && REV(e, n) > seen.everything -> seen.everything = REV(e, n)
    :: k >= KEY(0) -> seen.keys = seen.keys | (1 << (k - KEY(0)))
    :: else
    fi;
    digits = digits >> 6;
    n--
  :: else -> break
  od
}

inline clear(seen) { seen.token = 0; seen.client = 0; seen.everything = 0; seen.keys = 0 }
inline copy(to, from) { to.epoch = from.epoch; to.head = from.head; to.facts = from.facts }

/* --- the issuer -------------------------------------------------------------------------------- */

/* The database. `rows`: bit 0 says that the client is enabled, the next two name the key that
 * signs, the rest has a bit for each key that is published. `generation` grows with every change
 * of them. */
Record db;
byte rows = 1 + 8;
byte generation = 1;
bit history; /* facts of two histories differ at least in their times */
bit halted; /* kept with the head: another history is known, so that no node answers */
byte last_epoch = 1; /* an epoch is named after the time it begins at: none comes twice */
byte last_key; /* a key's name is random: none comes twice */

Record backup;
byte backup_rows;
byte backup_generation;

Record noted; /* the head that is noted beside the key-encryption key */

/* What a node has read, and the record it is as of; epoch 0: it has just been started. */
typedef Node {
  Record at;
  View view;
  byte rows;
  byte generation;
  bit stopped;
  byte issuing; /* 0 no token is being made, 1 one is, 2 and a fact came, 3 it comes to nothing */
  bit spoiled /* for the properties: a revocation came since its rows were read */
};
Node nodes[NODES];

#define ENABLED(rows) ((rows) & 1)
#define SIGNER(rows) (((rows) >> 1) & 3)
#define PUBLISHES(rows, kid) (((rows) >> 3) & (1 << (kid)))
#define ROWS(enabled, signer, published) ((enabled) | ((signer) << 1) | ((published) << 3))

#ifdef BROKEN_STOP_ALONE
#define STOPPED(i) nodes[i].stopped
#else
#define STOPPED(i) halted
#endif

/* --- tokens, and what the properties remember ------------------------------------------------- */

#define FORGED 63   /* a rev beyond all facts */
#define PENDING 14  /* the fact is committed and its revocation not yet acknowledged */
#define LOST 15     /* the fact was lost with a database that nobody remembers */

typedef Token {
  bit issued;
  byte rev;
  byte kid;
  bit doomed;  /* a fact came since it was asked for: it may be refused */
  byte dead;   /* 0, PENDING, LOST, or one more than the ticks since the acknowledgement */
  bit stray;   /* issued in a history that was lost */
  bit refused; /* by the verifier, because its view says so */
  bit denied;  /* by introspection */
  bit renewed  /* another token in its place: with an identifier of its own */
};
Token tokens[TOKENS];
byte since;  /* one more than the ticks since rows were last revoked and acknowledged */
bit pending; /* rows are revoked and it is not yet acknowledged */
bit unacknowledged; /* the last fact is */
bit forked;  /* an outage: from an old database put back to the next epoch */
bit told;    /* a follower has shown a node what was lost */

#define IS_DEAD(t) (tokens[t].dead != 0 && tokens[t].dead < PENDING)

bit S1, S2, S3, S4, L2;
#define HOLDS(property, condition) \
  property = (condition); assert(property); property = 0

inline doom(t) {
  tokens[t].doomed = 1;
  if
  :: tokens[t].dead == 0 || tokens[t].dead == LOST -> tokens[t].dead = PENDING
  :: else
  fi
}

#define HITS(fact, t) (tokens[t].issued && ((fact == TOKEN && t == 0) || \
  (fact == CLIENT && tokens[t].rev != FORGED) || fact == EVERYTHING || \
  (fact >= KEY(0) && tokens[t].kid == fact - KEY(0))))

/* What must be dead from now on because of a fact. */
inline mark(fact) {
  t_ = 0;
  do
  :: t_ < TOKENS && HITS(fact, t_) -> doom(t_); t_++
  :: t_ < TOKENS && !HITS(fact, t_) -> t_++
  :: else -> break
  od;
  i_ = 0;
  do
  :: i_ < NODES ->
    nodes[i_].issuing = (nodes[i_].issuing == 1 -> 2 : nodes[i_].issuing);
    nodes[i_].spoiled = nodes[i_].spoiled || (ENABLED(nodes[i_].rows) &&
      (fact == CLIENT || fact == EVERYTHING || fact == KEY(SIGNER(nodes[i_].rows))));
    i_++
  :: else -> break
  od;
  pending = pending || fact != TOKEN
}

inline append(fact) {
  db.facts = (db.facts << 6) | (history << 5) | (db.epoch << 3) | fact;
  db.head++
}

#if NODES > 1
#define SPOILED (nodes[0].spoiled || nodes[1].spoiled)
#else
#define SPOILED nodes[0].spoiled
#endif

inline acknowledge() {
  t_ = 0;
  do
  :: t_ < TOKENS ->
    if
    :: tokens[t_].dead == PENDING -> tokens[t_].dead = (tokens[t_].stray -> LOST : 1)
    :: else
    fi;
    t_++
  :: else -> break
  od;
  since = (pending && SPOILED -> 1 : 0);
  pending = 0;
  unacknowledged = 0
}

/* --- the follower, and answers on their way to it ----------------------------------------------- */

#define PAGES 1
#define SNAPSHOT 2
#define ANOTHER_HISTORY 3

typedef Answer {
  byte says;
  byte kids;   /* the keys that are published, a bit each */
  bit proven; /* it answers the question that is open now: its proof is over that nonce */
  Record at
};
Answer answers[SLOTS];

typedef Follower {
  Record at;
  View view;
  byte kids;   /* the key set that tokens are verified with here */
  byte age;    /* ticks since the question whose proven answer was applied last */
  byte asking; /* 1: a question is open; 2: its answer is being applied */
  byte waited; /* ticks since that question was asked */
  bit witness  /* the issuer went back: a question shows what it showed before */
};
Follower follower;
bit checking; /* a token is being verified */

/* --- what every request to a node begins with --------------------------------------------------- */

#ifdef BROKEN_NODE_MEMORY
#define REMEMBERS_MORE(i) WENT_BACK(noted, db)
#else
#define REMEMBERS_MORE(i) (WENT_BACK(noted, db) || WENT_BACK(nodes[i].at, db))
#endif

#define MOVED(i) (nodes[i].at.epoch != db.epoch || nodes[i].at.head != db.head || \
  nodes[i].generation != generation)

#ifdef BROKEN_GENERATION
#define ROWS_ARE_CURRENT(i) (nodes[i].generation >= generation)
#else
#define ROWS_ARE_CURRENT(i) (nodes[i].generation >= generation && nodes[i].at.epoch == db.epoch)
#endif

/* Read what has changed. Facts of before are kept. */
inline refresh(i) {
  learn(nodes[i].view, db, 0);
  if
  :: ROWS_ARE_CURRENT(i)
  :: else ->
    nodes[i].rows = rows;
    nodes[i].spoiled = 0;
    since = (SPOILED -> since : 0)
  fi;
  copy(nodes[i].at, db);
#if defined(PUT_BACK) && !defined(BROKEN_NOTED_LATE)
  copy(noted, db); /* before anything is answered from it */
#endif
  nodes[i].generation = generation
}

inline ask_for_the_head(i) {
  STOPPED(i) = STOPPED(i) || REMEMBERS_MORE(i)
}

/* Then, unless it is stopped, node i holds what is in the database. */
inline reach_barrier(i) {
#ifdef BROKEN_BARRIER
  if
  :: nodes[i].at.epoch == 0 -> refresh(i)
  :: else
  fi
#else
  ask_for_the_head(i);
  if
  :: !STOPPED(i) && MOVED(i) -> refresh(i)
  :: else
  fi
#endif
}

inline restart(i) {
  clear(nodes[i].view);
  nodes[i].at.epoch = 0;
  nodes[i].at.head = 0;
  nodes[i].at.facts = 0;
  nodes[i].rows = 0;
  nodes[i].generation = 0;
  nodes[i].spoiled = 0;
  nodes[i].issuing = (nodes[i].issuing -> 3 : 0)
}

/* Whether node i says that token t is active. */
inline introspect(i, t, alive) {
  reach_barrier(i);
  alive = 0;
  if
  :: STOPPED(i)
  :: !STOPPED(i) && !PUBLISHES(nodes[i].rows, tokens[t].kid)
  :: !STOPPED(i) && PUBLISHES(nodes[i].rows, tokens[t].kid) && KILLS(nodes[i].view, t) ->
    HOLDS(L2, tokens[t].doomed || forked);
    tokens[t].denied = 1
  :: else ->
    alive = 1;
    HOLDS(S3, !IS_DEAD(t) && !(told && tokens[t].dead == LOST));
    HOLDS(S2, !tokens[t].denied)
  fi
}

/* For what must happen at last: from `calm` on nothing is lost, killed, restored or revoked any
 * more, a question follows the last and takes half of the bound, operators mend what is stopped. */
bit calm;
bit welcomed; /* the verifier has accepted a token from its view since */

/* --- issuing: three steps, which anything may overtake ------------------------------------------ */

#define FREE(t) (t < TOKENS && !tokens[t].issued)

proctype Issuing(byte i) {
  byte rev, t;
  do
  :: atomic {
#ifdef CALM
      FREE(0) || (calm && tokens[0].doomed);
      tokens[0].issued = 0;
      tokens[0].rev = 0;
      tokens[0].doomed = 0;
      tokens[0].dead = 0;
      tokens[0].stray = 0;
      tokens[0].refused = 0;
      tokens[0].denied = 0;
      tokens[0].renewed = calm;
#elif defined(KEYS)
      FREE(0);
#else
      if
      :: FREE(0)
      :: !FREE(0) && FREE(TOKENS - 1) -> t = TOKENS - 1
      fi;
#endif
      nodes[i].issuing = 1;
#ifdef BROKEN_REV_AFTER_STATE
      reach_barrier(i)
    };
    atomic {
      rev = REV(db.epoch, db.head)
    };
#else
      ask_for_the_head(i);
      nodes[i].issuing = (STOPPED(i) -> 3 : 1);
      rev = REV(db.epoch, db.head)
    };
    atomic { /* what is read now must not be behind the head that was told */
      STOPPED(i) = STOPPED(i) || rev > REV(db.epoch, db.head) || REMEMBERS_MORE(i);
      if
      :: STOPPED(i) -> nodes[i].issuing = 3
      :: !STOPPED(i) && MOVED(i) -> refresh(i)
      :: else
      fi
    };
#endif
    atomic {
      if
      :: !STOPPED(i) && ENABLED(nodes[i].rows) && nodes[i].issuing < 3 ->
        tokens[t].issued = 1;
        tokens[t].rev = rev;
        tokens[t].kid = SIGNER(nodes[i].rows);
        tokens[t].doomed = nodes[i].spoiled || nodes[i].issuing == 2;
        tokens[t].dead = (nodes[i].spoiled -> (pending -> PENDING : since) : 0)
      :: else
      fi;
      nodes[i].issuing = 0;
      rev = 0;
      t = 0
    }
  od
}

/* --- revoking: commit, note the head, acknowledge --------------------------------------------- */

#ifdef KEYS
#define CAN_REVOKE (tokens[0].issued || (tokens[1].issued && PUBLISHES(rows, tokens[1].kid)))
#else
#define CAN_REVOKE (tokens[0].issued || ENABLED(rows))
#endif

proctype Revoking() {
  byte left = REVOCATIONS;
#ifdef PUT_BACK
  Record committed;
#endif
  do
  :: atomic {
      !calm && left > 0 && !STOPPED(0) && !REMEMBERS_MORE(0) && CAN_REVOKE;
      left--;
      if
      :: tokens[0].issued -> append(TOKEN); mark(TOKEN)
#ifdef KEYS
      :: tokens[1].issued && PUBLISHES(rows, tokens[1].kid) ->
        append(KEY(tokens[1].kid)); mark(KEY(tokens[1].kid));
        last_key++;
        rows = ROWS(ENABLED(rows), last_key,
          ((rows >> 3) | (1 << last_key)) & ~(1 << tokens[1].kid));
        generation++
#else
      :: ENABLED(rows) ->
        append(CLIENT); mark(CLIENT);
        rows = rows - 1;
        generation++
#endif
      fi;
#ifdef PROMOTE
      unacknowledged = 1;
#endif
#ifdef PUT_BACK
      copy(committed, db)
#endif
    };
#ifdef BROKEN_NOTED_LATE
    atomic { acknowledge() };
#endif
    atomic {
#ifdef PUT_BACK
      if
      :: !WENT_BACK(noted, committed) -> copy(noted, committed)
      :: else
      fi;
      committed.epoch = 0;
      committed.head = 0;
      committed.facts = 0;
#endif
#ifndef BROKEN_NOTED_LATE
      acknowledge()
#endif
    }
#ifdef KEYS
  :: atomic { /* the key that signs leaks, and a token is forged with it */
      !tokens[1].issued;
      tokens[1].issued = 1;
      tokens[1].rev = FORGED;
      tokens[1].kid = SIGNER(rows)
    }
  :: atomic { /* by schedule: the key before stays published */
      SIGNER(rows) == 0 && last_key == 0 && !STOPPED(0);
      last_key = 1;
      rows = ROWS(ENABLED(rows), last_key, (rows >> 3) | (1 << last_key));
      generation++
    }
#else
  :: atomic {
      !ENABLED(rows) && !STOPPED(0) && !REMEMBERS_MORE(0);
      rows = rows + 1;
      generation++
    }
#endif
  od
}

/* --- operators, and what befalls machines ------------------------------------------------------- */

inline begin_epoch() {
#ifdef BROKEN_EPOCH_TWICE
  db.epoch++;
#else
  last_epoch++;
  db.epoch = last_epoch;
#endif
  generation++;
  mark(EVERYTHING);
#ifndef BROKEN_EVERYTHING
  append(EVERYTHING);
#endif
#if defined(KEYS) && !defined(BROKEN_KEYS_KEPT)
  i_ = 0;
  do
  :: i_ < 4 && PUBLISHES(rows, i_) -> append(KEY(i_)); i_++
  :: i_ < 4 && !PUBLISHES(rows, i_) -> i_++
  :: else -> break
  od;
  last_key++;
  rows = ROWS(ENABLED(rows), last_key, 1 << last_key);
#endif
  copy(noted, db);
  acknowledge();
  STOPPED(0) = 0;
  STOPPED(NODES - 1) = 0;
  forked = 0;
  told = 0
}

#if defined(CRASH) || defined(RESTORE) || defined(PUT_BACK) || defined(PROMOTE)
#define OPERATORS
#endif

#ifdef OPERATORS
proctype Operating() {
  byte epochs = EPOCHS;
  do
#ifdef CRASH
  :: atomic { !calm && nodes[0].at.epoch != 0; restart(0) }
  :: atomic { /* the service of the follower is started again */
      !calm && !checking && follower.asking == 0 && follower.at.epoch != 0;
      clear(follower.view);
      follower.at.epoch = 0;
      follower.at.head = 0;
      follower.at.facts = 0;
      follower.age = LATE;
      follower.witness = 0
    }
#endif
#if defined(RESTORE) || defined(PUT_BACK)
  :: atomic {
      !calm && backup.epoch == 0 && history == 0 && !STOPPED(0);
      copy(backup, db);
      backup_rows = rows;
      backup_generation = generation
    }
#endif
#ifdef RESTORE
  :: atomic {
      !calm && epochs > 0 && backup.epoch != 0;
      epochs--;
      copy(db, backup);
      rows = backup_rows;
      generation = backup_generation;
      begin_epoch()
    }
#endif
#ifdef PROMOTE
  :: atomic {
      epochs > 0;
      epochs--;
      if
      :: unacknowledged -> /* and has not this one */
        rows = rows | ((db.facts & 7) == CLIENT);
        db.facts = db.facts >> 6;
        db.head--;
        tokens[0].dead = (tokens[0].dead == PENDING -> 0 : tokens[0].dead);
        pending = 0;
        unacknowledged = 0;
        history = 1
      :: skip
      fi;
      last_epoch++;
      db.epoch = last_epoch;
      generation = generation + 8
    }
#endif
#ifdef PUT_BACK
  :: atomic {
      !calm && history == 0 && backup.epoch != 0 && WENT_BACK(db, backup);
      copy(db, backup);
      rows = backup_rows;
      generation = backup_generation;
      backup.epoch = 0; backup.head = 0; backup.facts = 0;
      backup_rows = 0; backup_generation = 0;
      forked = 1;
      history = 1;
      halted = 0;
      if
      :: restart(0)
#ifdef UNNOTED
        ;
        tokens[0].denied = 0
#endif
      :: skip
      fi;
#ifdef UNNOTED
      copy(noted, db);
      nodes[0].spoiled = 0;
      pending = 0;
      since = 0;
      clear(remaining);
      learn(remaining, db, 0);
      t_ = 0;
      do
      :: t_ < TOKENS ->
        tokens[t_].stray = tokens[t_].stray || tokens[t_].rev > REV(db.epoch, db.head);
        if
        :: tokens[t_].dead && !KILLS(remaining, t_) -> tokens[t_].dead = LOST
        :: else
        fi;
        t_++
      :: else -> break
      od
#endif
    }
  :: atomic {
      STOPPED(0) && (calm || epochs > 0);
      epochs = (calm -> epochs : epochs - 1);
      begin_epoch()
    }
#endif
  od
}
#endif

/* --- the feed: a question, an answer from any node, a channel ----------------------------------- */

inline drop(i) {
  answers[i].says = 0;
  answers[i].kids = 0;
  answers[i].proven = 0;
  answers[i].at.epoch = 0;
  answers[i].at.head = 0;
  answers[i].at.facts = 0
}

#ifdef BROKEN_WITNESS_KEYS
#define WITNESS_IS_PROVEN && follower.at.epoch == db.epoch
#else
#define WITNESS_IS_PROVEN
#endif

inline answer(i, slot) {
  reach_barrier(i);
#ifdef BROKEN_WITNESS
  told = told || (follower.witness && WENT_BACK(follower.at, db));
#else
  if
#ifdef BROKEN_WITNESS_KEYS
  :: follower.witness && follower.at.epoch > db.epoch -> told = 1 /* signed with a later key */
#endif
  :: !STOPPED(i) && follower.witness && WENT_BACK(follower.at, db) WITNESS_IS_PROVEN ->
    STOPPED(i) = 1;
    told = 1
  :: else
  fi;
#endif
  if
#ifndef BROKEN_STOPPED_FEED
  :: STOPPED(i)
#endif
  :: else ->
    answers[slot].proven = 1;
    answers[slot].kids = nodes[i].rows >> 3;
    copy(answers[slot].at, nodes[i].at);
    if
    :: follower.at.epoch == nodes[i].at.epoch && !WENT_BACK(follower.at, nodes[i].at) ->
      answers[slot].says = PAGES
    :: follower.at.epoch == nodes[i].at.epoch && WENT_BACK(follower.at, nodes[i].at) ->
#ifdef BROKEN_FORK_HIDDEN
      answers[slot].says = (follower.at.head <= nodes[i].at.head -> SNAPSHOT : PAGES)
#else
      answers[slot].says = ANOTHER_HISTORY
#endif
    :: !WENT_BACK(follower.at, nodes[i].at) -> answers[slot].says = SNAPSHOT
    :: else -> answers[slot].says = ANOTHER_HISTORY
    fi
  fi
}

proctype Answering(byte i) {
  do
  :: atomic {
#ifdef CHANNEL
      follower.asking == 1;
#else
      follower.asking == 1 && !answers[0].says;
#endif
      if
      :: answer(i, 0)
#if SLOTS > 1
      :: answer(i, 1)
#endif
      fi
    }
#ifdef CHANNEL
  :: atomic { !calm && answers[0].says; drop(0) }
#endif
  od
}

/* Take the record of an answer over. */
inline apply(slot) {
#ifdef BROKEN_OLD_DROPPED
  if
  :: answers[slot].at.epoch > follower.at.epoch -> clear(follower.view)
  :: else
  fi;
#endif
  if
  :: answers[slot].says == PAGES -> learn(follower.view, answers[slot].at, follower.at.head)
  :: else -> learn(follower.view, answers[slot].at, 0)
  fi;
  HOLDS(S4, follower.at.epoch < answers[slot].at.epoch || (follower.at.epoch ==
    answers[slot].at.epoch && SAME_UP_TO(follower.at, answers[slot].at)));
  copy(follower.at, answers[slot].at);
#ifdef KEYS
#if defined(UNFETCHED) || defined(BROKEN_KEYS_APART)
  if
  :: follower.kids = answers[slot].kids
  :: follower.kids -> skip /* the key set could not be fetched */
  fi;
#else
  follower.kids = answers[slot].kids; /* or the answer proves nothing */
#endif
#endif
  follower.witness = 0
}

#ifdef BROKEN_NONCE
#define IS_ANSWER(slot) answers[slot].says
#else
#define IS_ANSWER(slot) (answers[slot].says && answers[slot].proven)
#endif

#if defined(BROKEN_GOING_BACK)
#define MAY_APPLY(slot) 1
#elif defined(BROKEN_FEED_KEYS) /* nobody has introduced those of a new epoch */
#define MAY_APPLY(slot) (follower.at.epoch == 0 || (answers[slot].at.epoch == follower.at.epoch && \
  answers[slot].says != ANOTHER_HISTORY && answers[slot].at.head >= follower.at.head))
#elif defined(BROKEN_EPOCH_BACK)
#define MAY_APPLY(slot) (answers[slot].at.epoch != follower.at.epoch || \
  (answers[slot].says != ANOTHER_HISTORY && answers[slot].at.head >= follower.at.head))
#else
#define MAY_APPLY(slot) (answers[slot].at.epoch > follower.at.epoch || \
  (answers[slot].at.epoch == follower.at.epoch && answers[slot].says != ANOTHER_HISTORY && \
   answers[slot].at.head >= follower.at.head))
#endif

inline prove() {
#ifdef BROKEN_ASKED_AT
  follower.age = 0
#else
  follower.age = follower.waited
#endif
}

proctype Following() {
  byte slot;
  do
  :: atomic {
#ifdef CHANNEL
      !calm || !follower.asking;
#else
      !follower.asking;
#endif
      follower.asking = 1;
      follower.waited = 0;
      answers[0].proven = 0;
#if SLOTS > 1
      answers[1].proven = 0
#endif
    }
  :: atomic {
      follower.asking == 1;
      if
      :: IS_ANSWER(0)
#if SLOTS > 1
      :: IS_ANSWER(1) -> slot = 1
#endif
      fi;
      follower.asking = 2;
      if
      :: MAY_APPLY(slot)
      :: else -> follower.witness = 1; goto done
      fi;
#ifdef BROKEN_PROVEN_FIRST
      prove()
    };
    atomic {
      apply(slot);
#else
      apply(slot)
    };
    atomic {
      prove();
#endif
done:
      follower.asking = 0;
      follower.waited = 0;
#ifndef CHANNEL
      drop(0);
#endif
      slot = 0
    }
  od
}

/* --- the verifier ----------------------------------------------------------------------------------- */

#ifdef KEYS
#define IS_FRESH(t) (follower.age <= BOUND && (follower.kids & (1 << tokens[t].kid)))
#else
#define IS_FRESH(t) (follower.age <= BOUND)
#endif

proctype Verifying() {
  byte t;
  bit fresh, killed, late, alive;
  do
  :: atomic { /* another service, which asks every time */
      !calm;
      if
      :: tokens[0].issued
      :: tokens[TOKENS - 1].issued -> t = TOKENS - 1
      fi;
      introspect(NODES - 1, t, alive);
      alive = 0;
      t = 0
    }
  :: atomic {
      if
      :: tokens[0].issued
      :: tokens[TOKENS - 1].issued -> t = TOKENS - 1
      fi;
#ifdef CRASH
      checking = 1;
#endif
#ifdef BROKEN_LOOKUP_FIRST
      killed = KILLS(follower.view, t)
    };
    atomic {
      fresh = IS_FRESH(t);
      late = IS_DEAD(t) && tokens[t].dead > LATE;
#else
      fresh = IS_FRESH(t);
      late = fresh && IS_DEAD(t) && tokens[t].dead > LATE;
#ifndef CALM
    };
    atomic {
#endif
      killed = KILLS(follower.view, t);
#endif
#ifdef BROKEN_STALE_UNSEEN
      killed = killed && fresh;
#endif
      if
      :: killed ->
        HOLDS(L2, tokens[t].doomed || forked);
        tokens[t].refused = 1
      :: !killed && fresh ->
        HOLDS(S1, !late);
        HOLDS(S2, !tokens[t].refused);
        welcomed = calm
      :: else ->
        introspect(NODES - 1, t, alive);
        if
        :: alive -> HOLDS(S2, !tokens[t].refused)
        :: else
        fi
      fi;
      alive = 0;
      fresh = 0;
      killed = 0;
      late = 0;
      checking = 0;
      t = 0
    }
  od
}

/* --- time --------------------------------------------------------------------------------------------- */

inline grow(count, most) { count = (count < most -> count + 1 : count) }

proctype Ticking() {
  do
  :: atomic {
      !calm || (follower.asking && follower.waited < BOUND / 2);
      grow(follower.age, LATE);
      if
      :: follower.asking -> grow(follower.waited, LATE)
      :: else
      fi;
      t_ = 0;
      do
      :: t_ < TOKENS && IS_DEAD(t_) -> grow(tokens[t_].dead, LATE + 1); t_++
      :: t_ < TOKENS && !IS_DEAD(t_) -> t_++
      :: else -> break
      od;
      if
      :: since -> grow(since, LATE + 1)
      :: else
      fi
    }
  od
}

#ifdef CALM
proctype Calming() { calm = 1 }

#define CURRENT (follower.at.epoch == db.epoch && follower.at.head == db.head)
ltl fresh { [] (calm -> <> [] (follower.age <= BOUND && CURRENT)) }
ltl welcome { [] (calm -> <> welcomed) }
#endif

init {
  atomic {
    db.epoch = 1;
    noted.epoch = 1;
    follower.age = LATE;
    run Issuing(0);
    run Revoking();
#ifdef OPERATORS
    run Operating();
#endif
    run Answering(0);
#if NODES > 1
    run Answering(1);
#endif
    run Following();
    run Verifying();
#ifdef CALM
    run Calming();
#endif
    run Ticking()
  }
}
