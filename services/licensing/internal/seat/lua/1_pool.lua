#!lua name=kontor_seats_3
-- The seats of one licence (a pool), changed by these functions only, on Redis's own clock. A change of what a function
-- expects or keeps gets another library name, so that two versions of the service can run side by side.
--
-- KEYS are in one hash slot: 1 pool (what is known of it as a whole, packed), 2 held (hash: slot -> record), 3 ends (sorted
-- set: slots by end of lease), 4 index (hash: t:<seat>, h:<holder> -> slot, c:<company> -> how many), 5 free (sorted set:
-- slots given back), 6 log (stream of the partition), 7 due (sorted set of the partition: pools by when to look at them),
-- 8 line (sorted set: tickets by number), 9 tickets (hash: ticket -> who waits), and the name of the partition's channel,
-- where streams hear of what concerns them. A function answers a word and what belongs to it. Times are milliseconds
-- since 1970.

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

-- A turn is one pool while functions work on it, all at one instant. What they change, write down and tell is kept until
-- the turn ends: many calls of one turn cost few commands. The pool is nil when it must be opened first: it is not there,
-- or another server wrote it last. A pool's time never goes back, whatever the server's clock does: a lease that was over
-- once would be good again.
local function begin(keys)
  local packed = redis.call('GET', keys[POOL])
  local pool = packed and cmsgpack.unpack(packed)
  if pool and pool.run ~= server() then pool = nil end
  local t = now()
  if pool then t = math.max(t, pool.seen) end
  return {
    keys = keys, t = t, pool = pool, recovering = pool and t < pool.till, entries = {}, news = {}, lists = {}, shown = {}, evicted = false,
    records = {}, index = {}, -- what was read or changed: slots and fields; false for what is not there
    -- What is to be kept: records (packed) and ends by slot, fields, tickets; false to remove it.
    changes = {}, ends = {}, fields = {}, waiting = {},
  }
end

-- Sends a command with any number of arguments, SOME of them together.
local function send(command, key, list, some)
  for from = 1, #list, some do
    redis.call(command, key, unpack(list, from, math.min(#list, from + some - 1)))
  end
end

-- Keeps what changed of a hash: of each name its value, or false.
local function keep_hash(key, changes)
  local set, gone = {}, {}
  for name, value in pairs(changes) do
    if value then
      set[#set + 1] = name
      set[#set + 1] = value
    else
      gone[#gone + 1] = name
    end
  end
  send('HSET', key, set, 1000)
  send('HDEL', key, gone, 1000)
end

-- Keeps what changed of the seats so far.
local function flush(c)
  keep_hash(c.keys[HELD], c.changes)
  keep_hash(c.keys[INDEX], c.fields)
  keep_hash(c.keys[TICKETS], c.waiting)
  local set, gone = {}, {}
  for slot, ends in pairs(c.ends) do
    if ends then
      set[#set + 1] = ends
      set[#set + 1] = slot
    else
      gone[#gone + 1] = slot
    end
  end
  send('ZADD', c.keys[ENDS], set, 1000)
  send('ZREM', c.keys[ENDS], gone, 1000)
  c.changes, c.ends, c.fields, c.waiting = {}, {}, {}, {}
end

-- Writes entries into the log, under an id or '*'.
local function write(c, id, entries)
  redis.call('XADD', c.keys[LOG], id, 'of', c.pool.subscriber .. ' ' .. c.pool.licence, 'at', whole(c.t), 'entries',
    cmsgpack.pack(entries))
end

local function done(c)
  for what, _ in pairs(c.news) do redis.call('PUBLISH', c.keys[NEWS], what) end
  if not c.pool then return end
  flush(c)
  if #c.entries > 0 then write(c, '*', c.entries) end
  if c.look then redis.call('ZADD', c.keys[DUE], 'LT', whole(c.look), c.pool.licence) end
  c.pool.seen = c.t
  redis.call('SET', c.keys[POOL], cmsgpack.pack(c.pool))
end

-- Forgets the seats of a pool, all of them.
local function empty(c)
  local keys = c.keys
  redis.call('DEL', keys[POOL], keys[HELD], keys[ENDS], keys[INDEX], keys[FREE], keys[LINE], keys[TICKETS])
  c.records, c.index, c.changes, c.ends, c.fields, c.waiting, c.lists = {}, {}, {}, {}, {}, {}, {}
  c.line, c.tickets, c.kept = nil, nil, nil
end

-- A record: what is known of a held seat. CAP and TAKING are instants that no lease goes beyond, 0 for none.
local SEAT, ACCOUNT, PRODUCT, GENERATION, SINCE, RENEWED, ACTIVE, MODE, CAP, TAKING, TAKER, PERSON, AT, PLEAS =
  1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14
-- A place that a holder works in. GRANT is the number of the claim that gave it last: what was sent before that claim and
-- comes late can't end it.
local COMPANY, DEVICE, TITLE, UNTIL, GRANT = 1, 2, 3, 4, 5

local function counts(mode) return mode ~= 'guest' and mode ~= 'reading' end

-- Who a seat is of: an account with a product on a device, or on all devices where people are counted. Seats that do not
-- count, or that are out, are apart.
local function holder(account, product, device, person, mode)
  local apart = (mode == 'pool' or mode == 'overdraft') and '' or mode
  return redis.sha1hex(table.concat({account, product, person == '1' and '' or device, apart}, '\n'))
end

local function holder_of(r) return 'h:' .. holder(r[ACCOUNT], r[PRODUCT], r[AT][1][DEVICE], r[PERSON], r[MODE]) end

-- The record of a slot, a text.
local function record(c, slot)
  local r = c.records[slot]
  if r == nil then
    local packed = redis.call('HGET', c.keys[HELD], slot)
    r = packed and cmsgpack.unpack(packed)
    c.records[slot] = r
  end
  return r
end

local function field(c, name)
  local value = c.index[name]
  if value == nil then
    value = redis.call('HGET', c.keys[INDEX], name)
    c.index[name] = value
  end
  return value
end

local function set_field(c, name, value) c.index[name], c.fields[name] = value, value end

-- The slot and the record of a seat.
local function find(c, seat)
  local slot = field(c, 't:' .. seat)
  return slot, slot and record(c, slot)
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

-- Writes down what happens: to a seat, in a place, by whom. Another instant than now is that until when it lasts.
local function log(c, kind, slot, r, place, limit, actor, address, at)
  c.entries[#c.entries + 1] = {
    kind, r[SEAT], r[ACCOUNT], place[COMPANY], r[PRODUCT], place[DEVICE], place[TITLE], tonumber(slot),
    place[GRANT] or r[GENERATION], r[MODE],
    limit, actor, address, at or c.t,
  }
end

local function tell(c, what) c.news[what] = true end

-- The board looks otherwise.
local function changed(c)
  c.pool.version = c.pool.version + 1
  c.lists, c.kept = {}, nil
end

local function look_at(c, t)
  if not c.look or t < c.look then c.look = t end
end

-- Keeps a record. It answers the seat as callers get it: its slot and its record.
local function save(c, slot, r)
  local ends, packed = ends_of(r), cmsgpack.pack(r)
  c.records[slot], c.changes[slot], c.ends[slot], c.lists = r, packed, ends, {}
  look_at(c, ends)
  return {slot, packed}
end

local function held_in(c, company) return tonumber(field(c, 'c:' .. company) or 0) end

local function count(c, r, company, by)
  if not counts(r[MODE]) then return end
  local held = held_in(c, company) + by
  set_field(c, 'c:' .. company, held > 0 and held)
end

local function count_product(c, product, by)
  local held = (c.pool.products[product] or 0) + by
  c.pool.products[product] = held > 0 and held or nil
end

-- Takes a place from a seat that has others.
local function leave(c, slot, r, i, actor, address)
  local place = table.remove(r[AT], i)
  if not works_in(r, place[COMPANY]) then count(c, r, place[COMPANY], -1) end
  log(c, 'left', slot, r, place, 0, actor, address)
  changed(c)
end

-- Ends the places that ran out of a seat that is renewed in another.
local function drop_places(c, slot, r)
  if c.recovering then return end
  for i = #r[AT], 1, -1 do
    if r[AT][i][UNTIL] <= c.t and #r[AT] > 1 then leave(c, slot, r, i, '', '') end
  end
end

-- Lets the lease of a place run anew. It never ends before what was answered earlier, however short leases are now.
local function extend(c, slot, r, place, lease)
  r[RENEWED], place[UNTIL] = c.t, math.max(place[UNTIL], c.t + lease)
  if #r[AT] > 1 then drop_places(c, slot, r) end
  return save(c, slot, r)
end

local function next_generation(c)
  c.pool.generation = c.pool.generation + 1
  return c.pool.generation
end

-- Puts a holder into a slot, in one place.
local function put(c, slot, r, me)
  set_field(c, 't:' .. r[SEAT], slot)
  set_field(c, me, slot)
  count(c, r, r[AT][1][COMPANY], 1)
  c.pool.live = c.pool.live + 1
  if counts(r[MODE]) then
    c.pool.used = c.pool.used + 1
    count_product(c, r[PRODUCT], 1)
  end
  changed(c)
  return save(c, slot, r)
end

-- Ends a holding: the slot is free at once.
local function finish(c, slot, r, kind, actor, address)
  local pool = c.pool
  c.records[slot], c.changes[slot], c.ends[slot] = false, false, false
  set_field(c, 't:' .. r[SEAT], false)
  set_field(c, holder_of(r), false)
  local left = {}
  for _, place in ipairs(r[AT]) do
    if not left[place[COMPANY]] then count(c, r, place[COMPANY], -1) end
    left[place[COMPANY]] = true
  end
  pool.live = pool.live - 1
  if counts(r[MODE]) then
    pool.used = pool.used - 1
    count_product(c, r[PRODUCT], -1)
    if pool.used == 0 then
      redis.call('DEL', c.keys[FREE])
      pool.top = 0
    else
      redis.call('ZADD', c.keys[FREE], slot, slot)
    end
  end
  if pool.live == 0 then
    pool.emptied = c.t
    look_at(c, c.t + REST)
  end
  changed(c)
  log(c, kind, slot, r, r[AT][1], 0, actor, address)
  if kind ~= 'released' then tell(c, 'ended ' .. r[SEAT]) end -- Who gives a seat back knows.
  if pool.line > 0 then tell(c, 'line ' .. pool.licence) end
end

-- How a seat ended whose time is over.
local function over(c, slot, r)
  if r[TAKING] > 0 and r[TAKING] <= c.t then
    finish(c, slot, r, 'taken', r[TAKER], '')
  else
    finish(c, slot, r, 'expired', '', '')
  end
end

-- Ends what has run out, once a turn. While the pool recovers nothing is: a lease may have been renewed in what was lost.
local function evict(c)
  if c.recovering or c.evicted then return end
  c.evicted = true
  flush(c)
  while true do
    local gone = redis.call('ZRANGEBYSCORE', c.keys[ENDS], '-inf', whole(c.t), 'LIMIT', 0, 500)
    for _, slot in ipairs(gone) do over(c, slot, record(c, slot)) end
    flush(c)
    if #gone < 500 then return end
  end
end

-- Some of those who hold seats, by end of lease: all, or those that match.
local function holders(c, matches, most)
  local found, from = {}, 0
  flush(c)
  while #found < most do
    local slots = redis.call('ZRANGE', c.keys[ENDS], from, from + 99)
    if #slots == 0 then return found end
    local packed = redis.call('HMGET', c.keys[HELD], unpack(slots))
    for i, slot in ipairs(slots) do
      local r = cmsgpack.unpack(packed[i])
      if #found < most and matches(r) then found[#found + 1] = {slot, packed[i]} end
    end
    from = from + 100
  end
  return found
end

-- The lowest slot that is free: with fewer than `limit` held it is not above `limit`.
local function free_slot(c)
  if c.pool.used < c.pool.top then
    local free = redis.call('ZPOPMIN', c.keys[FREE])
    if free[1] then return free[1] end
  end
  c.pool.top = c.pool.top + 1
  return tostring(c.pool.top)
end

-- Makes a slot another's than the free ones'.
local function occupy(c, slot)
  for gap = c.pool.top + 1, tonumber(slot) - 1 do redis.call('ZADD', c.keys[FREE], gap, gap) end
  c.pool.top = math.max(c.pool.top, tonumber(slot))
  redis.call('ZREM', c.keys[FREE], slot)
end
