-- What clients do for people, for as long as wrk runs; each answer makes the next request possible.
-- wrk … -- FILE   FILE: one NAME <tab> VALUE a line.
--   authorize, cookie: the code flow, with a session that is signed in: a code, then its tokens
--   refresh:           a refresh token to begin with; each is spent for its successor
local said = { refresh = {} }
local codes = {}
local threads = {}
redeemed, refreshed, wrong = 0, 0, 0

function setup(thread)
  threads[#threads + 1] = thread
end

function init(arguments)
  for line in io.lines(arguments[1]) do
    local name, value = line:match("^([^\t]*)\t(.*)$")
    if name == "refresh" then
      table.insert(said.refresh, value)
    else
      said[name] = value
    end
  end
end

local function ask_for_tokens(body)
  local headers = {
    ["Host"] = wrk.headers["Host"],
    ["Authorization"] = said.authorization,
    ["Content-Type"] = "application/x-www-form-urlencoded",
  }
  return wrk.format("POST", said.token, headers, body)
end

function request()
  if said.authorize == nil then
    local token = table.remove(said.refresh, 1)
    return ask_for_tokens("grant_type=refresh_token&refresh_token=" .. token)
  end
  local code = table.remove(codes)
  if code == nil then
    return wrk.format("GET", said.authorize, { ["Host"] = wrk.headers["Host"], ["Cookie"] = said.cookie })
  end
  return ask_for_tokens(said.redeem .. "&code=" .. code)
end

function response(status, headers, body)
  if status == 200 then
    local successor = body:match('"refresh_token"%s*:%s*"([^"]+)"')
    if said.authorize ~= nil and body:find('"id_token"', 1, true) then
      redeemed = redeemed + 1
    elseif said.authorize == nil and successor ~= nil then
      table.insert(said.refresh, successor)
      refreshed = refreshed + 1
    else
      wrong = wrong + 1
    end
    return
  end
  for name, value in pairs(headers) do
    if name:lower() == "location" then
      local code = value:match("[?&]code=([^&]+)")
      if code ~= nil then
        table.insert(codes, code)
        return
      end
    end
  end
  wrong = wrong + 1
end

function done(summary, latency)
  local errors = summary.errors
  local flows, failed = 0, errors.connect + errors.read + errors.write + errors.timeout
  local refused = errors.status
  for _, thread in ipairs(threads) do
    flows = flows + thread:get("redeemed") + thread:get("refreshed")
    refused = refused + thread:get("wrong")
  end
  print(string.format(
    '{"requests": %d, "microseconds": %d, "refused": %d, "failed": %d, "p50": %d, "p99": %d}',
    flows, summary.duration, refused, failed, latency:percentile(50), latency:percentile(99)))
end
