-- Puts seats that are out into their slots, seven arguments and the end each.
local function send_out(keys, p, args, from, t)
  for i = from, #args, 8 do
    local ends = tonumber(args[i + 7])
    local slot = redis.call('HGET', keys[INDEX], 't:' .. args[i])
    local r = slot and record(keys, slot)
    if r then
      r[CAP], r[AT][1][UNTIL] = ends, ends
      save(keys, p, slot, r)
    elseif ends > t then
      slot = args[i + 6]
      if record(keys, slot) then slot = free_slot(keys) else occupy(keys, slot) end
      put(keys, p, slot, {
        args[i], args[i + 1], args[i + 3], redis.call('HINCRBY', keys[POOL], 'generation', 1), t, t, t, 'travel', ends, 0, '', '0',
        {{args[i + 2], args[i + 4], args[i + 5], ends}}, {},
      })
    end
  end
end

-- open: recovery, until, lease, longest, subscriber, licence, seats that are out. 'open', also when it is open already.
-- Whoever held a seat comes back by 'enter' until then: what another server left may be older than what was answered.
local function open(keys, args)
  local t = now()
  if open_pool(keys, t) then return {'open'} end
  local wait = tonumber(args[2])
  local generation = tonumber(args[1]) * 4294967296
  redis.call('DEL', keys[POOL], keys[HELD], keys[ENDS], keys[INDEX], keys[FREE], keys[LINE], keys[TICKETS])
  redis.call('HSET', keys[POOL], 'run', server(), 'recovery', args[1], 'until', whole(t + wait), 'lease', args[3],
    'longest', args[4], 'subscriber', args[5], 'licence', args[6], 'generation', whole(generation), 'top', 0, 'used', 0,
    'emptied', whole(t))
  changed(keys)
  local p = open_pool(keys, t)
  look_at(keys, p, t + math.max(wait, REST))
  send_out(keys, p, args, 7, t)
  if wait > 0 then
    log(keys, p, 'recovering', 0, {'', '', '', 0, 0, 0, 0, 'pool'}, {'', '', ''}, 0, '', '', t + wait)
  end
  return {'open'}
end

-- claim: seat, account, company, product, device, title, limit, limit in the company, limit of the product (0 for none),
-- lease, actor, address, whether people are counted, mode, instant that it can't go beyond (0), how many beyond the limit
-- (in a closing period), own seat to end first (''). 'held' and the seat; 'closed'; 'longer' when the pool was opened for
-- shorter leases; 'foreign'; 'recovering' and for how long; 'full', 'company' or 'product', in how long the next lease
-- ends, holders, and how many wait.
local function claim(keys, args)
  local t = now()
  local p = open_pool(keys, t)
  if not p then return {'closed'} end
  local account, company, product, device = args[2], args[3], args[4], args[5]
  local lease, person, mode, cap = tonumber(args[10]), args[13], args[14], tonumber(args[15])
  if lease > p.longest then return {'longer'} end
  if lease ~= p.lease then redis.call('HSET', keys[POOL], 'lease', args[10]) end
  note_limits(keys, p, args[7], args[8], product, args[9])
  evict(keys, p, t)
  local me = holder(account, product, device, person, mode)
  if args[17] ~= '' then
    local slot = redis.call('HGET', keys[INDEX], 't:' .. args[17])
    local r = slot and record(keys, slot)
    if r and r[ACCOUNT] ~= account then return {'foreign'} end
    if r and holder_of(r) ~= 'h:' .. me then finish(keys, p, slot, r, 'transferred', args[11], args[12], t) end
  end
  local slot = redis.call('HGET', keys[INDEX], 'h:' .. me)
  local limit, company_limit, product_limit = tonumber(args[7]), tonumber(args[8]), tonumber(args[9])
  if slot and tonumber(redis.call('ZSCORE', keys[ENDS], slot)) > t then
    local r = record(keys, slot)
    local place = place_in(r, company, device)
    if mode == 'travel' then return {'held', shown(slot, r, r[AT][1])} end -- Its end is in the database.
    if not place then
      if counts(mode) and not works_in(r, company) and held_in(keys, 'c:' .. company) >= company_limit then
        log(keys, p, 'refused', 0, {'', account, product, 0, 0, 0, 0, mode}, {company, device, args[6]}, company_limit, args[11], args[12], t)
        local free, list = frees(keys, p, 'company', company, product, 10, lease, t)
        return {'company', free, list, '0'}
      end
      if #r[AT] >= PLACES then leave(keys, p, slot, r, 1, '', '', t) end
      if not works_in(r, company) then count(keys, r, company, 1) end
      place = {company, device, args[6], t}
      r[AT][#r[AT] + 1] = place
      changed(keys)
      log(keys, p, 'joined', slot, r, place, 0, args[11], args[12], t)
    end
    place[TITLE], r[ACTIVE] = args[6], t
    return {'held', extend(keys, p, slot, r, place, lease, t)}
  end
  if p.recovering then return {'recovering', whole(p.till - t)} end
  local r = {args[1], account, product, 0, t, t, t, mode, cap, 0, '', person, {{company, device, args[6], t + lease}}, {}}
  if not counts(mode) then
    slot = tostring(redis.call('HINCRBY', keys[POOL], 'beside', -1))
  else
    local kept, waiting = advance(keys, p, t)
    local ticket, mine = kept_for(keys, account, product, me)
    if mine then
      kept.all = kept.all - 1
      kept.company[mine[T_COMPANY]] = kept.company[mine[T_COMPANY]] - 1
      kept.product[mine[T_PRODUCT]] = kept.product[mine[T_PRODUCT]] - 1
    end
    local why, most = in_the_way(keys, p, kept, company, product, limit, company_limit, product_limit)
    if why == 'full' and mine and mine[T_HANDED] == 1 then why = nil end
    if why == 'full' and tonumber(args[16]) > 0 and p.used + kept.all < limit + tonumber(args[16]) then
      why, most = in_the_way(keys, p, kept, company, product, limit + tonumber(args[16]), company_limit, product_limit)
      r[MODE] = 'overdraft'
    end
    if why then
      r[SEAT] = ''
      r[MODE] = mode
      log(keys, p, 'refused', 0, r, r[AT][1], most, args[11], args[12], t)
      local free, list = frees(keys, p, why, company, product, 10, lease, t)
      return {why, free, list, whole(waiting)}
    end
    if ticket then drop_ticket(keys, ticket) end
    slot = free_slot(keys)
  end
  r[GENERATION] = redis.call('HINCRBY', keys[POOL], 'generation', 1)
  put(keys, p, slot, r)
  log(keys, p, 'claimed', slot, r, r[AT][1], limit, args[11], args[12], t)
  return {'held', shown(slot, r, r[AT][1])}
end

-- One renewal: seat, slot, end of the lease as its holder knows it, company, device, how long not worked.
local function renew_one(keys, p, seat, slot, known, company, device, idle, t)
  local r = record(keys, slot)
  if not r or r[SEAT] ~= seat then return {p.recovering and 'enter' or 'lost'} end
  if ends_of(r) <= t then
    if not p.recovering then over(keys, p, slot, r, t) end
    if not p.recovering or tonumber(known) <= t then return {'lost'} end
  end
  local place = place_in(r, company, device)
  if not place then return {p.recovering and 'enter' or 'lost'} end
  if place[UNTIL] <= t and not p.recovering then
    if #r[AT] > 1 then
      drop_places(keys, p, slot, r, t)
      save(keys, p, slot, r)
    end
    return {'lost'}
  end
  r[ACTIVE] = math.max(r[ACTIVE], t - tonumber(idle))
  for i = #r[PLEAS], 1, -1 do
    if r[PLEAS][i][4] + PLEA <= t then table.remove(r[PLEAS], i) end
  end
  return {'held', extend(keys, p, slot, r, place, p.lease, t)}
end

-- renew: any number of renewals, six arguments each. 'open' and an answer for each: 'held' and the seat; 'lost'; 'enter'
-- when it may be lost to the pool only. 'closed'.
local function renew(keys, args)
  local t = now()
  local p = open_pool(keys, t)
  if not p then return {'closed'} end
  local answers = {}
  for i = 1, #args, 6 do
    answers[#answers + 1] = renew_one(keys, p, args[i], args[i + 1], args[i + 2], args[i + 3], args[i + 4], args[i + 5], t)
  end
  return {'open', answers}
end

-- A holding as its token has it: seat, account, company, product, device, title, slot, generation, since, end of the
-- lease, actor, address, mode, whether people are counted, instant that it can't go beyond, instant at which it is taken.
local function holding(args, t)
  local place = {args[3], args[5], args[6], tonumber(args[10])}
  return {
    args[1], args[2], args[4], tonumber(args[8]), tonumber(args[9]), t, t, args[13], tonumber(args[15]), tonumber(args[16]),
    '', args[14], {place}, {},
  }, place
end

-- enter: a holding. A holder comes back while the pool recovers. One holder a slot, the highest generation wins. 'held'
-- and the seat; 'closed'; 'lost'.
local function enter(keys, args)
  local t = now()
  local p = open_pool(keys, t)
  if not p then return {'closed'} end
  local slot = args[7]
  local r, place = holding(args, t)
  if not p.recovering or ends_of(r) <= t then return {'lost'} end
  local other = record(keys, slot)
  if other and other[SEAT] == r[SEAT] then
    local known = place_in(other, place[COMPANY], place[DEVICE])
    if not known then
      if not works_in(other, place[COMPANY]) then count(keys, other, place[COMPANY], 1) end
      known = place
      other[AT][#other[AT] + 1] = known
      changed(keys)
    end
    return {'held', extend(keys, p, slot, other, known, p.lease, t)}
  end
  local mine = redis.call('HGET', keys[INDEX], holder_of(r))
  mine = mine and {slot = mine, r = record(keys, mine)}
  if other and other[GENERATION] > r[GENERATION] or mine and mine.r[GENERATION] > r[GENERATION] then return {'lost'} end
  if other then finish(keys, p, slot, other, 'expired', '', '', t) end
  if mine and mine.slot ~= slot then finish(keys, p, mine.slot, mine.r, 'expired', '', '', t) end
  if counts(r[MODE]) then
    occupy(keys, slot)
  else
    local beside = tonumber(redis.call('HGET', keys[POOL], 'beside') or '0')
    redis.call('HSET', keys[POOL], 'beside', math.min(beside, tonumber(slot)))
  end
  place[UNTIL] = t + p.lease
  put(keys, p, slot, r)
  log(keys, p, 'returned', slot, r, place, 0, args[11], args[12], t)
  return {'held', shown(slot, r, place)}
end

-- release: a holding. Its place is given back, and the seat with its last one. 'released'; 'gone' when it is held no
-- longer; 'closed'. While the pool recovers, a place that it does not have is written down, so that it can't come back.
local function release(keys, args)
  local t = now()
  local p = open_pool(keys, t)
  if not p then return {'closed'} end
  local slot = args[7]
  local r = record(keys, slot)
  if r and r[SEAT] == args[1] then
    local place, i = place_in(r, args[3], args[5])
    if place and #r[AT] > 1 then
      leave(keys, p, slot, r, i, args[11], args[12], t)
      save(keys, p, slot, r)
      return {'released'}
    end
    if place then
      finish(keys, p, slot, r, 'released', args[11], args[12], t)
      return {'released'}
    end
  end
  local lost, place = holding(args, t)
  if p.recovering and place[UNTIL] > t then
    log(keys, p, 'left', slot, lost, place, 0, args[11], args[12], t)
    return {'released'}
  end
  return {'gone'}
end
