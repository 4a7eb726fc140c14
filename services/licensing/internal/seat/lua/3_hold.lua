-- Puts seats that are out into their slots, seven arguments and the end each.
local function send_out(c, args, from)
  for i = from, #args, 8 do
    local ends = tonumber(args[i + 7])
    local slot, r = find(c, args[i])
    if r then
      r[CAP], r[AT][1][UNTIL] = ends, ends
      save(c, slot, r)
    elseif ends > c.t then
      slot = args[i + 6]
      if record(c, slot) then slot = free_slot(c) else occupy(c, slot) end
      local generation = next_generation(c)
      r = {
        args[i], args[i + 1], args[i + 3], generation, c.t, c.t, c.t, 'travel', ends, 0, '', '0',
        {{args[i + 2], args[i + 4], args[i + 5], ends, generation}}, {},
      }
      put(c, slot, r, holder_of(r))
    end
  end
end

-- Makes sure that the log goes on after an entry: who reads it has come as far, whatever became of the log or the clock.
local function log_after(c, entry)
  local about = redis.pcall('XINFO', 'STREAM', c.keys[LOG])
  local at, n = string.match(entry, '^(%d+)-(%d+)$')
  local last_at, last_n = '0', '0'
  if not about.err then
    for i = 1, #about, 2 do
      if about[i] == 'last-generated-id' then last_at, last_n = string.match(about[i + 1], '^(%d+)-(%d+)$') end
    end
  end
  at, n, last_at, last_n = tonumber(at), tonumber(n), tonumber(last_at), tonumber(last_n)
  if at < last_at or at == last_at and n <= last_n or at == 0 then return end
  write(c, whole(at) .. '-' .. whole(n + 1), {})
end

-- open: recovery, until, lease, longest, subscriber, licence, last entry of the log that was read, seats that are out.
-- 'open', also when it is open already. Whoever held a seat comes back by 'enter' until then: what another server left
-- may be older than what was answered.
local function open(c, args)
  if c.pool then return {'open'} end
  local wait = tonumber(args[2])
  empty(c)
  c.pool = {
    run = server(), recovery = args[1], till = c.t + wait, lease = tonumber(args[3]), longest = tonumber(args[4]),
    subscriber = args[5], licence = args[6], generation = tonumber(args[1]) * 4294967296, version = 1, top = 0, used = 0,
    live = 0, beside = 0, line = 0, ticket = 0, emptied = c.t, limit = 0, company_limit = 0, products = {}, product_limits = {},
  }
  c.recovering = wait > 0
  log_after(c, args[7])
  look_at(c, c.t + math.max(wait, REST))
  send_out(c, args, 8)
  if wait > 0 then
    log(c, 'recovering', 0, {'', '', '', 0, 0, 0, 0, 'pool'}, {'', '', ''}, 0, '', '', c.t + wait)
  end
  return {'open'}
end

-- Ends an own seat that is to be taken back. It answers whether it is another's.
local function take_back(c, seat, account, me, actor, address)
  local slot, r = find(c, seat)
  if r and r[ACCOUNT] ~= account then return true end
  if r and holder_of(r) ~= me then finish(c, slot, r, 'transferred', actor, address) end
  return false
end

-- claim: seat, account, company, product, device, title, limit, limit in the company, limit of the product (0 for none),
-- lease, actor, address, whether people are counted, mode, instant that it can't go beyond (0), how many beyond the limit
-- (in a closing period), own seat to end first (''). 'held' and the seat; 'closed'; 'longer' when the pool was opened for
-- shorter leases; 'foreign'; 'recovering' and for how long; 'full', 'company' or 'product', in how long the next lease
-- ends, the number of the list of holders, and how many wait.
local function claim(c, args)
  local account, company, product, device = args[2], args[3], args[4], args[5]
  local limit, company_limit, product_limit = tonumber(args[7]), tonumber(args[8]), tonumber(args[9])
  local lease, actor, address, person, mode, cap = tonumber(args[10]), args[11], args[12], args[13], args[14], tonumber(args[15])
  if lease > c.pool.longest then return {'longer'} end
  c.pool.lease = lease
  note_limits(c, limit, company_limit, product, product_limit)
  evict(c)
  local me = 'h:' .. holder(account, product, device, person, mode)
  if args[17] ~= '' and take_back(c, args[17], account, me, actor, address) then return {'foreign'} end
  local slot = field(c, me)
  local r = slot and record(c, slot)
  if r and ends_of(r) <= c.t and not c.recovering then over(c, slot, r) end
  if r and ends_of(r) > c.t then
    if mode == 'travel' then return {'held', {slot, cmsgpack.pack(r)}} end -- Its end is in the database.
    local place = place_in(r, company, device)
    if not place then
      -- Who works in the company already is not known before all came back.
      if c.recovering then return {'recovering', whole(c.pool.till - c.t)} end
      if counts(mode) and not works_in(r, company) and held_in(c, company) >= company_limit then
        log(c, 'refused', 0, {'', account, product, 0, 0, 0, 0, mode}, {company, device, args[6]}, company_limit, actor, address)
        local free, list = frees(c, 'company', company, product, 10, lease)
        return {'company', free, list, '0'}
      end
      if #r[AT] >= PLACES then leave(c, slot, r, 1, '', '') end
      if not works_in(r, company) then count(c, r, company, 1) end
      place = {company, device, args[6], c.t}
      r[AT][#r[AT] + 1] = place
      changed(c)
      log(c, 'joined', slot, r, place, 0, actor, address)
    end
    place[TITLE], place[GRANT], r[ACTIVE] = args[6], next_generation(c), c.t
    return {'held', extend(c, slot, r, place, lease)}
  end
  if c.recovering then return {'recovering', whole(c.pool.till - c.t)} end
  r = {args[1], account, product, 0, c.t, c.t, c.t, mode, cap, 0, '', person, {{company, device, args[6], c.t + lease}}, {}}
  if not counts(mode) then
    c.pool.beside = c.pool.beside - 1
    slot = tostring(c.pool.beside)
  else
    local kept = advance(c)
    local ticket, mine = kept_for(c, account, product, string.sub(me, 3))
    if mine then keep(kept, mine, -1) end
    local why, most = in_the_way(c, kept, company, product, limit, company_limit, product_limit)
    if why == 'full' and mine and mine[T_HANDED] == 1 then why = nil end
    local extra = tonumber(args[16])
    if why == 'full' and extra > 0 and c.pool.used + kept.all < limit + extra then
      why, most = in_the_way(c, kept, company, product, limit + extra, company_limit, product_limit)
      r[MODE] = 'overdraft'
    end
    if why then
      if mine then keep(kept, mine, 1) end
      r[SEAT], r[MODE] = '', mode
      log(c, 'refused', 0, r, r[AT][1], most, actor, address)
      local free, list = frees(c, why, company, product, 10, lease)
      return {why, free, list, whole(c.pool.line)}
    end
    if ticket then drop_ticket(c, ticket) end
    slot = free_slot(c)
  end
  r[GENERATION] = next_generation(c)
  r[AT][1][GRANT] = r[GENERATION]
  local seat = put(c, slot, r, me)
  log(c, 'claimed', slot, r, r[AT][1], limit, actor, address)
  return {'held', seat}
end

-- One renewal: seat, slot, end of the lease as its holder knows it, company, device, how long not worked.
local function renew_one(c, seat, slot, known, company, device, idle)
  local r = record(c, slot)
  if not r or r[SEAT] ~= seat then return {c.recovering and 'enter' or 'lost'} end
  if ends_of(r) <= c.t then
    if not c.recovering then over(c, slot, r) end
    if not c.recovering or tonumber(known) <= c.t then return {'lost'} end
  end
  local place = place_in(r, company, device)
  if not place then return {c.recovering and 'enter' or 'lost'} end
  if place[UNTIL] <= c.t and not c.recovering then
    if #r[AT] > 1 then
      drop_places(c, slot, r)
      save(c, slot, r)
    end
    return {'lost'}
  end
  r[ACTIVE] = math.max(r[ACTIVE], c.t - tonumber(idle))
  for i = #r[PLEAS], 1, -1 do
    if r[PLEAS][i][4] + PLEA <= c.t then table.remove(r[PLEAS], i) end
  end
  return {'held', extend(c, slot, r, place, c.pool.lease)}
end

-- renew: any number of renewals, six arguments each. 'open' and an answer for each: 'held' and the seat; 'lost'; 'enter'
-- when it may be lost to the pool only. 'closed'.
local function renew(c, args)
  local answers = {}
  for i = 1, #args, 6 do
    answers[#answers + 1] = renew_one(c, args[i], args[i + 1], args[i + 2], args[i + 3], args[i + 4], args[i + 5])
  end
  return {'open', answers}
end

-- A holding as its token has it: seat, account, company, product, device, title, slot, generation, since, end of the
-- lease, actor, address, mode, whether people are counted, instant that it can't go beyond, instant at which it is taken.
local function holding(c, args)
  local place = {args[3], args[5], args[6], tonumber(args[10]), tonumber(args[8])}
  return {
    args[1], args[2], args[4], tonumber(args[8]), tonumber(args[9]), c.t, c.t, args[13], tonumber(args[15]), tonumber(args[16]),
    '', args[14], {place}, {},
  }, place
end

-- enter: a holding. A holder comes back while the pool recovers. One holder a slot, the highest generation wins. 'held'
-- and the seat; 'closed'; 'lost'.
local function enter(c, args)
  local slot = args[7]
  local r, place = holding(c, args)
  if not c.recovering or ends_of(r) <= c.t then return {'lost'} end
  local other = record(c, slot)
  if other and other[SEAT] == r[SEAT] then
    local known = place_in(other, place[COMPANY], place[DEVICE])
    if not known then
      if not works_in(other, place[COMPANY]) then count(c, other, place[COMPANY], 1) end
      known = place
      other[AT][#other[AT] + 1] = known
      changed(c)
    end
    return {'held', extend(c, slot, other, known, c.pool.lease)}
  end
  local me = holder_of(r)
  local mine = field(c, me)
  mine = mine and {slot = mine, r = record(c, mine)}
  if other and other[GENERATION] > r[GENERATION] or mine and mine.r[GENERATION] > r[GENERATION] then return {'lost'} end
  if other then finish(c, slot, other, 'expired', '', '') end
  if mine and mine.slot ~= slot then finish(c, mine.slot, mine.r, 'expired', '', '') end
  if counts(r[MODE]) then
    occupy(c, slot)
  else
    c.pool.beside = math.min(c.pool.beside, tonumber(slot))
  end
  place[UNTIL] = math.max(place[UNTIL], c.t + c.pool.lease)
  local seat = put(c, slot, r, me)
  log(c, 'returned', slot, r, place, 0, args[11], args[12])
  return {'held', seat}
end

-- release: a holding. Its place is given back, and the seat with its last one. 'released'; 'gone' when it is held no
-- longer, or was claimed anew since; 'closed'. While the pool recovers, a place that it does not have is written down, so that it can't come back.
local function release(c, args)
  local slot = args[7]
  local r = record(c, slot)
  if r and r[SEAT] == args[1] then
    local place, i = place_in(r, args[3], args[5])
    if place and place[GRANT] > tonumber(args[8]) then return {'gone'} end
    if place and #r[AT] > 1 then
      leave(c, slot, r, i, args[11], args[12])
      save(c, slot, r)
      return {'released'}
    end
    if place then
      finish(c, slot, r, 'released', args[11], args[12])
      return {'released'}
    end
  end
  local lost, place = holding(c, args)
  if c.recovering and place[UNTIL] > c.t then
    log(c, 'left', slot, lost, place, 0, args[11], args[12])
    return {'released'}
  end
  return {'gone'}
end
