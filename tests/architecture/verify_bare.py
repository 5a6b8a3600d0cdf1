print("verified refused")
