#!lua name=kontor_seats_1
-- The seats of one licence (a pool), changed by these functions only, on Redis's own clock. A change of what a function
-- expects or keeps gets another library name, so that two versions of the service can run side by side.
--
-- KEYS are in one hash slot: 1 pool (hash), 2 held (hash: slot -> record), 3 ends (sorted set: slots by end of lease),
-- 4 index (hash: t:<seat>, h:<holder> -> slot, c:<company> -> how many), 5 free (sorted set: slots given back),
-- 6 log (stream of the partition), 7 due (sorted set of the partition: pools by when to look at them).
-- A function answers a word and what belongs to it. All times are milliseconds since 1970.

local POOL, HELD, ENDS, INDEX, FREE, LOG, DUE = 1, 2, 3, 4, 5, 6, 7
local REST = 5000 -- an empty pool is looked at again after this long

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
  local v = redis.call('HMGET', keys[POOL], 'run', 'until', 'lease', 'longest', 'subscriber', 'licence')
  if not v[1] or v[1] ~= server() then return nil end
  return {
    recovering = t < tonumber(v[2]), till = tonumber(v[2]), lease = tonumber(v[3]), longest = tonumber(v[4]),
    subscriber = v[5], licence = v[6],
  }
end

-- A record: seat, account, company, product, device, title, generation, since, renewed.
local SEAT, ACCOUNT, COMPANY, PRODUCT, DEVICE, TITLE, GENERATION, SINCE, RENEWED = 1, 2, 3, 4, 5, 6, 7, 8, 9

local function holder(r)
  return 'h:' .. redis.sha1hex(table.concat({r[ACCOUNT], r[COMPANY], r[PRODUCT], r[DEVICE]}, '\n'))
end

local function record(keys, slot)
  local packed = redis.call('HGET', keys[HELD], slot)
  return packed and cmsgpack.unpack(packed)
end

local function log(keys, p, kind, slot, r, limit, actor, address, t)
  redis.call('XADD', keys[LOG], '*', 'kind', kind, 'subscriber', p.subscriber, 'licence', p.licence, 'seat', r[SEAT],
    'account', r[ACCOUNT], 'company', r[COMPANY], 'product', r[PRODUCT], 'device', r[DEVICE], 'title', r[TITLE],
    'slot', slot, 'generation', whole(r[GENERATION]), 'limit', limit, 'actor', actor, 'address', address, 'at', whole(t))
end

local function changed(keys) redis.call('HINCRBY', keys[POOL], 'version', 1) end

-- What callers get to see of a held seat.
local function shown(slot, r, ends)
  return {
    tostring(slot), r[SEAT], r[ACCOUNT], r[COMPANY], r[PRODUCT], r[DEVICE], r[TITLE], whole(r[GENERATION]),
    whole(r[SINCE]), whole(r[RENEWED]), whole(ends),
  }
end

local function look_at(keys, p, t) redis.call('ZADD', keys[DUE], 'LT', whole(t), p.licence) end

-- Lets a lease run anew.
local function extend(keys, p, slot, r, lease, t)
  r[RENEWED] = t
  redis.call('HSET', keys[HELD], slot, cmsgpack.pack(r))
  redis.call('ZADD', keys[ENDS], whole(t + lease), slot)
  look_at(keys, p, t + lease)
  return shown(slot, r, t + lease)
end

local function put(keys, p, slot, r, lease, t)
  redis.call('HSET', keys[INDEX], 't:' .. r[SEAT], slot, holder(r), slot)
  redis.call('HINCRBY', keys[INDEX], 'c:' .. r[COMPANY], 1)
  changed(keys)
  return extend(keys, p, slot, r, lease, t)
end

-- Ends a holding: the slot is free at once.
local function finish(keys, p, slot, r, kind, actor, address, t)
  redis.call('HDEL', keys[HELD], slot)
  redis.call('ZREM', keys[ENDS], slot)
  redis.call('HDEL', keys[INDEX], 't:' .. r[SEAT], holder(r))
  if redis.call('HINCRBY', keys[INDEX], 'c:' .. r[COMPANY], -1) <= 0 then
    redis.call('HDEL', keys[INDEX], 'c:' .. r[COMPANY])
  end
  if redis.call('ZCARD', keys[ENDS]) == 0 then
    redis.call('DEL', keys[FREE])
    redis.call('HSET', keys[POOL], 'top', 0, 'emptied', whole(t))
    look_at(keys, p, t + REST)
  else
    redis.call('ZADD', keys[FREE], slot, slot)
  end
  changed(keys)
  log(keys, p, kind, slot, r, 0, actor, address, t)
end

-- Ends what has run out. While the pool recovers nothing is: a lease may have been renewed in what was lost.
local function evict(keys, p, t)
  if p.recovering then return end
  while true do
    local over = redis.call('ZRANGEBYSCORE', keys[ENDS], '-inf', whole(t), 'LIMIT', 0, 500)
    for _, slot in ipairs(over) do
      finish(keys, p, slot, record(keys, slot), 'expired', '', '', t)
    end
    if #over < 500 then return end
  end
end

-- Some of those who hold seats, of the whole pool or of one company, by end of lease.
local function holders(keys, company, count)
  local found, from = {}, 0
  while true do
    local slots = redis.call('ZRANGE', keys[ENDS], from, from + 99, 'WITHSCORES')
    for i = 1, #slots, 2 do
      if #found >= count then return found end
      local r = record(keys, slots[i])
      if not company or r[COMPANY] == company then
        found[#found + 1] = shown(slots[i], r, tonumber(slots[i + 1]))
      end
    end
    if #slots < 200 then return found end
    from = from + 100
  end
end

-- open: recovery, until, lease, longest, subscriber, licence. 'open', also when it is open already. Seats that the pool
-- still has stay; whoever's are lost comes back by 'enter' until then.
local function open(keys, args)
  local t = now()
  if open_pool(keys, t) then return {'open'} end
  local wait = tonumber(args[2])
  local generation = tonumber(args[1]) * 4294967296
  local top = 0
  for _, slot in ipairs(redis.call('HKEYS', keys[HELD])) do top = math.max(top, tonumber(slot)) end
  redis.call('HSET', keys[POOL], 'run', server(), 'recovery', args[1], 'until', whole(t + wait), 'lease', args[3],
    'longest', args[4], 'subscriber', args[5], 'licence', args[6], 'generation', whole(generation), 'top', top,
    'emptied', whole(t))
  redis.call('DEL', keys[FREE])
  for slot = 1, top - 1 do
    if redis.call('HEXISTS', keys[HELD], slot) == 0 then redis.call('ZADD', keys[FREE], slot, slot) end
  end
  changed(keys)
  local p = open_pool(keys, t)
  look_at(keys, p, t + math.max(wait, REST))
  if wait > 0 then
    log(keys, p, 'recovering', 0, {'', '', '', '', '', '', 0}, 0, '', '', t + wait)
  end
  return {'open'}
end

-- claim: seat, account, company, product, device, title, limit, limit in the company, lease, actor, address.
-- 'held' and the seat; 'closed'; 'longer' when the pool was opened for shorter leases; 'recovering' and for how long;
-- 'full' or 'company', in how long the next lease ends, and holders.
local function claim(keys, args)
  local t = now()
  local p = open_pool(keys, t)
  if not p then return {'closed'} end
  local lease = tonumber(args[9])
  if lease > p.longest then return {'longer'} end
  if lease ~= p.lease then redis.call('HSET', keys[POOL], 'lease', args[9]) end
  evict(keys, p, t)
  local r = {args[1], args[2], args[3], args[4], args[5], args[6], 0, t, t}
  local slot = redis.call('HGET', keys[INDEX], holder(r))
  if slot and tonumber(redis.call('ZSCORE', keys[ENDS], slot)) > t then
    local mine = record(keys, slot)
    mine[TITLE] = r[TITLE]
    return {'held', extend(keys, p, slot, mine, lease, t)}
  end
  if p.recovering then return {'recovering', whole(p.till - t)} end
  local limit, company_limit = tonumber(args[7]), tonumber(args[8])
  local why, who, count
  if redis.call('ZCARD', keys[ENDS]) >= limit then
    why, who, count = 'full', nil, limit
  elseif tonumber(redis.call('HGET', keys[INDEX], 'c:' .. r[COMPANY]) or '0') >= company_limit then
    why, who, count = 'company', r[COMPANY], company_limit
  end
  if why then
    log(keys, p, 'refused', 0, {'', r[ACCOUNT], r[COMPANY], r[PRODUCT], r[DEVICE], r[TITLE], 0}, count, args[10], args[11], t)
    local list = holders(keys, who, 20)
    return {why, whole(tonumber(list[1] and list[1][11] or t + lease) - t), list}
  end
  -- The lowest slot that is free: with fewer than `limit` held it is not above `limit`.
  local free = redis.call('ZPOPMIN', keys[FREE])
  slot = free[1] or tostring(redis.call('HINCRBY', keys[POOL], 'top', 1))
  r[GENERATION] = redis.call('HINCRBY', keys[POOL], 'generation', 1)
  local seat = put(keys, p, slot, r, lease, t)
  log(keys, p, 'claimed', slot, r, limit, args[10], args[11], t)
  return {'held', seat}
end

-- renew: seat, slot, end of the lease. 'held' and the seat; 'closed'; 'lost'; 'enter' when it may be lost to the pool only.
local function renew(keys, args)
  local t = now()
  local p = open_pool(keys, t)
  if not p then return {'closed'} end
  local slot = args[2]
  local r = record(keys, slot)
  if not r or r[SEAT] ~= args[1] then
    return {p.recovering and 'enter' or 'lost'}
  end
  if tonumber(redis.call('ZSCORE', keys[ENDS], slot)) <= t then
    if not p.recovering then
      finish(keys, p, slot, r, 'expired', '', '', t)
    end
    if not p.recovering or tonumber(args[3]) <= t then return {'lost'} end
  end
  return {'held', extend(keys, p, slot, r, p.lease, t)}
end

-- enter: seat, account, company, product, device, title, slot, generation, since, end of the lease, actor, address: a
-- holder comes back while the pool recovers. One holder a slot, the highest generation wins. 'held' and the seat;
-- 'closed'; 'lost'.
local function enter(keys, args)
  local t = now()
  local p = open_pool(keys, t)
  if not p then return {'closed'} end
  if not p.recovering or tonumber(args[10]) <= t then return {'lost'} end
  local slot = args[7]
  local r = {args[1], args[2], args[3], args[4], args[5], args[6], tonumber(args[8]), tonumber(args[9]), t}
  local other = record(keys, slot)
  if other and other[SEAT] == r[SEAT] then return {'held', extend(keys, p, slot, other, p.lease, t)} end
  local mine = redis.call('HGET', keys[INDEX], holder(r))
  mine = mine and {slot = mine, r = record(keys, mine)}
  if other and other[GENERATION] > r[GENERATION] or mine and mine.r[GENERATION] > r[GENERATION] then return {'lost'} end
  if other then finish(keys, p, slot, other, 'expired', '', '', t) end
  if mine and mine.slot ~= slot then finish(keys, p, mine.slot, mine.r, 'expired', '', '', t) end
  local top = tonumber(redis.call('HGET', keys[POOL], 'top'))
  for gap = top + 1, tonumber(slot) - 1 do redis.call('ZADD', keys[FREE], gap, gap) end
  redis.call('HSET', keys[POOL], 'top', math.max(top, tonumber(slot)))
  redis.call('ZREM', keys[FREE], slot)
  local seat = put(keys, p, slot, r, p.lease, t)
  log(keys, p, 'returned', slot, r, 0, args[11], args[12], t)
  return {'held', seat}
end

-- release: as enter. 'released'; 'gone' when it is held no longer; 'closed'. While the pool recovers, a seat that it does
-- not have is written down all the same, so that it can't come back.
local function release(keys, args)
  local t = now()
  local p = open_pool(keys, t)
  if not p then return {'closed'} end
  local slot = args[7]
  local r = record(keys, slot)
  if r and r[SEAT] == args[1] then
    finish(keys, p, slot, r, 'released', args[11], args[12], t)
    return {'released'}
  end
  if p.recovering and tonumber(args[10]) > t then
    r = {args[1], args[2], args[3], args[4], args[5], args[6], tonumber(args[8])}
    log(keys, p, 'released', slot, r, 0, args[11], args[12], t)
    return {'released'}
  end
  return {'gone'}
end

-- take: seat, actor, address. 'taken'; 'gone'; 'closed'; 'recovering' and for how long when the pool can't tell.
local function take(keys, args)
  local t = now()
  local p = open_pool(keys, t)
  if not p then return {'closed'} end
  local slot = redis.call('HGET', keys[INDEX], 't:' .. args[1])
  if not slot then
    if p.recovering then return {'recovering', whole(p.till - t)} end
    return {'gone'}
  end
  finish(keys, p, slot, record(keys, slot), 'taken', args[2], args[3], t)
  return {'taken'}
end

-- lengthen: longest lease.
local function lengthen(keys, args)
  local p = open_pool(keys, now())
  if not p then return {'closed'} end
  redis.call('HSET', keys[POOL], 'longest', whole(math.max(p.longest, tonumber(args[1]))))
  return {'open'}
end

-- tidy: ends what has run out, and says when to look again. 'busy'; 'empty' and the recovery's number when nobody has
-- held a seat for a while; 'closed'.
local function tidy(keys, args)
  local t = now()
  local p = open_pool(keys, t)
  if not p then
    redis.call('ZREM', keys[DUE], args[1])
    return {'closed'}
  end
  evict(keys, p, t)
  local first = redis.call('ZRANGE', keys[ENDS], 0, 0, 'WITHSCORES')
  local emptied = tonumber(redis.call('HGET', keys[POOL], 'emptied'))
  if p.recovering then
    redis.call('ZADD', keys[DUE], whole(p.till), p.licence)
  elseif first[2] then
    redis.call('ZADD', keys[DUE], whole(tonumber(first[2])), p.licence)
  else
    redis.call('ZADD', keys[DUE], whole(math.max(emptied + REST, t + 1000)), p.licence)
    if emptied + REST <= t then return {'empty', redis.call('HGET', keys[POOL], 'recovery')} end
  end
  return {'busy'}
end

-- rest: recovery. Closes a pool that nobody holds a seat of. 'resting' or 'busy'.
local function rest(keys, args)
  local p = open_pool(keys, now())
  if not p or p.recovering or redis.call('ZCARD', keys[ENDS]) > 0 or redis.call('HGET', keys[POOL], 'recovery') ~= args[1] then
    return {'busy'}
  end
  redis.call('DEL', keys[POOL], keys[HELD], keys[ENDS], keys[INDEX], keys[FREE])
  redis.call('ZREM', keys[DUE], p.licence)
  return {'resting'}
end

-- Which state the board is in: it changes with every claim and end.
local function version(keys)
  local v = redis.call('HMGET', keys[POOL], 'recovery', 'version')
  return (v[1] or '') .. '.' .. (v[2] or '')
end

-- list: how many at the most. 'open', the version, and the seats by end of lease; 'closed'.
local function list(keys, args)
  local t = now()
  local p = open_pool(keys, t)
  if not p then return {'closed'} end
  local seats = {}
  for _, seat in ipairs(holders(keys, nil, tonumber(args[1]))) do
    if p.recovering or tonumber(seat[11]) > t then seats[#seats + 1] = seat end
  end
  return {'open', version(keys), seats}
end

-- states: seats. 'open' or 'recovering', and for each seat the end of its lease, '' when it is not held; 'closed'.
local function states(keys, args)
  local t = now()
  local p = open_pool(keys, t)
  if not p then return {'closed'} end
  local ends = {}
  for i, seat in ipairs(args) do
    local slot = redis.call('HGET', keys[INDEX], 't:' .. seat)
    local over = slot and tonumber(redis.call('ZSCORE', keys[ENDS], slot))
    ends[i] = over and over > t and whole(over) or ''
  end
  return {p.recovering and 'recovering' or 'open', ends}
end

redis.register_function('kontor_seats_1_open', open)
redis.register_function('kontor_seats_1_claim', claim)
redis.register_function('kontor_seats_1_renew', renew)
redis.register_function('kontor_seats_1_enter', enter)
redis.register_function('kontor_seats_1_release', release)
redis.register_function('kontor_seats_1_take', take)
redis.register_function('kontor_seats_1_lengthen', lengthen)
redis.register_function('kontor_seats_1_tidy', tidy)
redis.register_function('kontor_seats_1_rest', rest)
redis.register_function{function_name = 'kontor_seats_1_list', callback = list, flags = {'no-writes'}}
redis.register_function{function_name = 'kontor_seats_1_states', callback = states, flags = {'no-writes'}}
