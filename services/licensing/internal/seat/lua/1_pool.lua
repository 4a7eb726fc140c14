#!lua name=kontor_seats_2
-- The seats of one licence (a pool), changed by these functions only, on Redis's own clock. A change of what a function
-- expects or keeps gets another library name, so that two versions of the service can run side by side.
--
-- KEYS are in one hash slot: 1 pool (hash), 2 held (hash: slot -> record), 3 ends (sorted set: slots by end of lease),
-- 4 index (hash: t:<seat>, h:<holder> -> slot, c:<company>, p:<product> -> how many), 5 free (sorted set: slots given
-- back), 6 log (stream of the partition), 7 due (sorted set of the partition: pools by when to look at them), 8 line
-- (sorted set: tickets by number), 9 tickets (hash: ticket -> who waits), and the name of the partition's channel, where
-- streams hear of what concerns them. A function answers a word and what belongs to it. Times are milliseconds since 1970.

local POOL, HELD, ENDS, INDEX, FREE, LOG, DUE, LINE, TICKETS, NEWS = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
local REST = 5000 -- an empty pool is looked at again after this long
local OFFER = 30000 -- so long a seat is kept for who is first in line
local HANDED = 120000 -- so long for whom it is handed over to
local AWAY = 15000 -- so long who waits may be away without losing the place
local PLEA = 60000 -- so long a plea is told
local PLACES = 32 -- places of one seat
local WAITING = 1000 -- who wait in one line
local TICKETS_EACH = 5 -- places in line of one account

-- Which server this is: a restart and a replica that takes over have another id. Kept only as long as the process.
local server_id
local function server()
  if not server_id then
    server_id = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
  end
  return server_id
end

local function now()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end

local function whole(n) return string.format('%.0f', n) end

-- The pool as it stands, nil when it must be opened first: it is not there, or another server wrote it last.
local function open_pool(keys, t)
  local v = redis.call('HMGET', keys[POOL], 'run', 'until', 'lease', 'longest', 'subscriber', 'licence', 'used', 'limits')
  if not v[1] or v[1] ~= server() then return nil end
  return {
    recovering = t < tonumber(v[2]), till = tonumber(v[2]), lease = tonumber(v[3]), longest = tonumber(v[4]),
    subscriber = v[5], licence = v[6], used = tonumber(v[7]), limits = v[8],
  }
end

-- A record: what is known of a held seat. CAP and TAKING are instants that no lease goes beyond, 0 for none.
local SEAT, ACCOUNT, PRODUCT, GENERATION, SINCE, RENEWED, ACTIVE, MODE, CAP, TAKING, TAKER, PERSON, AT, PLEAS =
  1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14
-- A place that a holder works in.
local COMPANY, DEVICE, TITLE, UNTIL = 1, 2, 3, 4

local function counts(mode) return mode ~= 'guest' and mode ~= 'reading' end

-- Who a seat is of: an account with a product on a device, or on all devices where people are counted. Seats that do not
-- count, or that are out, are apart.
local function holder(account, product, device, person, mode)
  local apart = (mode == 'pool' or mode == 'overdraft') and '' or mode
  return redis.sha1hex(table.concat({account, product, person == '1' and '' or device, apart}, '\n'))
end

local function holder_of(r) return 'h:' .. holder(r[ACCOUNT], r[PRODUCT], r[AT][1][DEVICE], r[PERSON], r[MODE]) end

local function record(keys, slot)
  local packed = redis.call('HGET', keys[HELD], slot)
  return packed and cmsgpack.unpack(packed)
end

local function place_in(r, company, device)
  for i, place in ipairs(r[AT]) do
    if place[COMPANY] == company and place[DEVICE] == device then return place, i end
  end
end

local function works_in(r, company)
  for _, place in ipairs(r[AT]) do
    if place[COMPANY] == company then return true end
  end
  return false
end

local function ends_of(r)
  local last = 0
  for _, place in ipairs(r[AT]) do last = math.max(last, place[UNTIL]) end
  if r[CAP] > 0 then last = math.min(last, r[CAP]) end
  if r[TAKING] > 0 then last = math.min(last, r[TAKING]) end
  return last
end

local function log(keys, p, kind, slot, r, place, limit, actor, address, t)
  redis.call('XADD', keys[LOG], '*', 'kind', kind, 'subscriber', p.subscriber, 'licence', p.licence, 'seat', r[SEAT],
    'account', r[ACCOUNT], 'company', place[COMPANY], 'product', r[PRODUCT], 'device', place[DEVICE], 'title', place[TITLE],
    'slot', slot, 'generation', whole(r[GENERATION]), 'mode', r[MODE], 'limit', limit, 'actor', actor, 'address', address,
    'at', whole(t))
end

local function tell(keys, what) redis.call('PUBLISH', keys[NEWS], what) end

local function changed(keys) redis.call('HINCRBY', keys[POOL], 'version', 1) end

local function look_at(keys, p, t) redis.call('ZADD', keys[DUE], 'LT', whole(t), p.licence) end

-- What callers get to see of a held seat, as it is used in one of its places.
local function shown(slot, r, place)
  local places, pleas = {}, {}
  for i, at in ipairs(r[AT]) do places[i] = {at[COMPANY], at[DEVICE], at[TITLE], whole(at[UNTIL])} end
  for i, plea in ipairs(r[PLEAS]) do pleas[i] = {plea[1], plea[2], plea[3], whole(plea[4])} end
  return {
    tostring(slot), r[SEAT], r[ACCOUNT], r[PRODUCT], whole(r[GENERATION]), whole(r[SINCE]), whole(r[RENEWED]),
    whole(r[ACTIVE]), r[MODE], whole(ends_of(r)), whole(r[TAKING]), r[PERSON], place[COMPANY], place[DEVICE], place[TITLE],
    places, pleas, whole(r[CAP]),
  }
end

local function save(keys, p, slot, r)
  local ends = ends_of(r)
  redis.call('HSET', keys[HELD], slot, cmsgpack.pack(r))
  redis.call('ZADD', keys[ENDS], whole(ends), slot)
  look_at(keys, p, ends)
end

local function count(keys, r, company, by)
  if not counts(r[MODE]) then return end
  if redis.call('HINCRBY', keys[INDEX], 'c:' .. company, by) <= 0 then
    redis.call('HDEL', keys[INDEX], 'c:' .. company)
  end
end

-- Takes a place from a seat that has others.
local function leave(keys, p, slot, r, i, actor, address, t)
  local place = table.remove(r[AT], i)
  if not works_in(r, place[COMPANY]) then count(keys, r, place[COMPANY], -1) end
  log(keys, p, 'left', slot, r, place, 0, actor, address, t)
  changed(keys)
end

-- Ends the places that ran out of a seat that is renewed in another.
local function drop_places(keys, p, slot, r, t)
  if p.recovering then return end
  for i = #r[AT], 1, -1 do
    if r[AT][i][UNTIL] <= t and #r[AT] > 1 then leave(keys, p, slot, r, i, '', '', t) end
  end
end

-- Lets the lease of a place run anew.
local function extend(keys, p, slot, r, place, lease, t)
  r[RENEWED], place[UNTIL] = t, t + lease
  if #r[AT] > 1 then drop_places(keys, p, slot, r, t) end
  save(keys, p, slot, r)
  return shown(slot, r, place)
end

-- Puts a holder into a slot, in one place.
local function put(keys, p, slot, r)
  redis.call('HSET', keys[INDEX], 't:' .. r[SEAT], slot, holder_of(r), slot)
  count(keys, r, r[AT][1][COMPANY], 1)
  if counts(r[MODE]) then
    p.used = redis.call('HINCRBY', keys[POOL], 'used', 1)
    redis.call('HINCRBY', keys[INDEX], 'p:' .. r[PRODUCT], 1)
  end
  changed(keys)
  save(keys, p, slot, r)
end

-- Ends a holding: the slot is free at once.
local function finish(keys, p, slot, r, kind, actor, address, t)
  redis.call('HDEL', keys[HELD], slot)
  redis.call('ZREM', keys[ENDS], slot)
  redis.call('HDEL', keys[INDEX], 't:' .. r[SEAT], holder_of(r))
  local done = {}
  for _, place in ipairs(r[AT]) do
    if not done[place[COMPANY]] then count(keys, r, place[COMPANY], -1) end
    done[place[COMPANY]] = true
  end
  if counts(r[MODE]) then
    p.used = redis.call('HINCRBY', keys[POOL], 'used', -1)
    if redis.call('HINCRBY', keys[INDEX], 'p:' .. r[PRODUCT], -1) <= 0 then
      redis.call('HDEL', keys[INDEX], 'p:' .. r[PRODUCT])
    end
    if p.used == 0 then
      redis.call('DEL', keys[FREE])
      redis.call('HSET', keys[POOL], 'top', 0)
    else
      redis.call('ZADD', keys[FREE], slot, slot)
    end
  end
  if redis.call('ZCARD', keys[ENDS]) == 0 then
    redis.call('HSET', keys[POOL], 'emptied', whole(t))
    look_at(keys, p, t + REST)
  end
  changed(keys)
  log(keys, p, kind, slot, r, r[AT][1], 0, actor, address, t)
  tell(keys, 'ended ' .. r[SEAT])
  if redis.call('ZCARD', keys[LINE]) > 0 then tell(keys, 'line ' .. p.licence) end
end

-- How a seat ended whose time is over.
local function over(keys, p, slot, r, t)
  if r[TAKING] > 0 and r[TAKING] <= t then
    finish(keys, p, slot, r, 'taken', r[TAKER], '', t)
  else
    finish(keys, p, slot, r, 'expired', '', '', t)
  end
end

-- Ends what has run out. While the pool recovers nothing is: a lease may have been renewed in what was lost.
local function evict(keys, p, t)
  if p.recovering then return end
  while true do
    local gone = redis.call('ZRANGEBYSCORE', keys[ENDS], '-inf', whole(t), 'LIMIT', 0, 500)
    for _, slot in ipairs(gone) do over(keys, p, slot, record(keys, slot), t) end
    if #gone < 500 then return end
  end
end

-- Some of those who hold seats that count, of the whole pool, one company or one product, by end of lease.
local function holders(keys, matches, most)
  local found, from = {}, 0
  while true do
    local slots = redis.call('ZRANGE', keys[ENDS], from, from + 99)
    for _, slot in ipairs(slots) do
      if #found >= most then return found end
      local r = record(keys, slot)
      if matches(r) then found[#found + 1] = shown(slot, r, r[AT][1]) end
    end
    if #slots < 100 then return found end
    from = from + 100
  end
end

-- The lowest slot that is free: with fewer than `limit` held it is not above `limit`.
local function free_slot(keys)
  local free = redis.call('ZPOPMIN', keys[FREE])
  return free[1] or tostring(redis.call('HINCRBY', keys[POOL], 'top', 1))
end

-- Makes a slot another's than the free ones'.
local function occupy(keys, slot)
  local top = tonumber(redis.call('HGET', keys[POOL], 'top'))
  for gap = top + 1, tonumber(slot) - 1 do redis.call('ZADD', keys[FREE], gap, gap) end
  redis.call('HSET', keys[POOL], 'top', math.max(top, tonumber(slot)))
  redis.call('ZREM', keys[FREE], slot)
end

local function held_in(keys, what) return tonumber(redis.call('HGET', keys[INDEX], what) or '0') end
