-- A ticket: who waits, or for whom a seat is kept (OFFERED is until when, HANDED_OVER whether by a colleague).
local T_ACCOUNT, T_COMPANY, T_PRODUCT, T_SEEN, T_OFFERED, T_HANDED = 1, 2, 3, 4, 5, 6

-- The line as it stands: the tickets in their order, and who waits with each. It is read once a turn.
local function line(c)
  if c.line then return c.line, c.tickets end
  c.line, c.tickets = {}, {}
  if c.pool.line > 0 then
    c.line = redis.call('ZRANGE', c.keys[LINE], 0, -1)
    for from = 1, #c.line, 1000 do
      local some = {unpack(c.line, from, math.min(#c.line, from + 999))}
      for i, packed in ipairs(redis.call('HMGET', c.keys[TICKETS], unpack(some))) do
        c.tickets[some[i]] = cmsgpack.unpack(packed)
      end
    end
  end
  return c.line, c.tickets
end

local function ticket_of(c, ticket)
  local _, tickets = line(c)
  return tickets[ticket]
end

local function save_ticket(c, ticket, w)
  local _, tickets = line(c)
  tickets[ticket], c.waiting[ticket] = w, cmsgpack.pack(w)
end

-- Lets a ticket into the line: to its end, or first of all.
local function queue(c, ticket, first)
  local tickets = line(c)
  if not first then c.pool.ticket = c.pool.ticket + 1 end
  redis.call('ZADD', c.keys[LINE], first and 0 or c.pool.ticket, ticket)
  for i = #tickets, 1, -1 do
    if tickets[i] == ticket then table.remove(tickets, i) end
  end
  table.insert(tickets, first and 1 or #tickets + 1, ticket)
  c.pool.line, c.kept = #tickets, nil
end

local function drop_ticket(c, ticket)
  local tickets, waiting = line(c)
  redis.call('ZREM', c.keys[LINE], ticket)
  for i = #tickets, 1, -1 do
    if tickets[i] == ticket then table.remove(tickets, i) end
  end
  waiting[ticket], c.waiting[ticket] = nil, false
  c.pool.line, c.kept = #tickets, nil
end

-- What stands in the way of one more seat that counts: 'full', 'company' or 'product', with the limit. KEPT is what is
-- kept for others.
local function in_the_way(c, kept, company, product, limit, company_limit, product_limit)
  if c.pool.used + kept.all >= limit then return 'full', limit end
  if held_in(c, company) + (kept.company[company] or 0) >= company_limit then return 'company', company_limit end
  if product_limit > 0 and (c.pool.products[product] or 0) + (kept.product[product] or 0) >= product_limit then
    return 'product', product_limit
  end
end

local function keep(kept, w, by)
  kept.all = kept.all + by
  kept.company[w[T_COMPANY]] = (kept.company[w[T_COMPANY]] or 0) + by
  kept.product[w[T_PRODUCT]] = (kept.product[w[T_PRODUCT]] or 0) + by
end

-- Moves the line on: who went away loses the place, and seats that are free are offered to who is first and may take one.
-- Answers what is kept for others: in all, by company, and by product. While nothing changes, that does not either.
local function advance(c)
  if c.kept then return c.kept end
  local kept = {all = 0, company = {}, product = {}}
  if c.pool.line == 0 then return kept end
  local names, tickets = line(c)
  local gone, waiting = {}, {}
  for _, ticket in ipairs(names) do
    local w = tickets[ticket]
    if w[T_OFFERED] > 0 and w[T_OFFERED] <= c.t or w[T_OFFERED] == 0 and w[T_SEEN] + AWAY <= c.t then
      gone[#gone + 1] = ticket
    elseif w[T_OFFERED] > 0 then
      keep(kept, w, 1)
    else
      waiting[#waiting + 1] = {ticket, w}
    end
  end
  for _, ticket in ipairs(gone) do drop_ticket(c, ticket) end
  for _, one in ipairs(waiting) do
    local ticket, w = one[1], one[2]
    if c.recovering or c.pool.used + kept.all >= c.pool.limit then break end
    if not in_the_way(c, kept, w[T_COMPANY], w[T_PRODUCT], c.pool.limit, c.pool.company_limit,
      c.pool.product_limits[w[T_PRODUCT]] or 0) then
      w[T_OFFERED] = c.t + OFFER
      save_ticket(c, ticket, w)
      look_at(c, w[T_OFFERED])
      keep(kept, w, 1)
    end
  end
  c.kept = kept
  return kept
end

-- The ticket by which a seat is kept for somebody, if one is.
local function kept_for(c, account, product, mine)
  if c.pool.line == 0 then return end
  for _, ticket in ipairs({mine, 'a:' .. redis.sha1hex(account .. '\n' .. product)}) do
    local w = ticket_of(c, ticket)
    if w and w[T_OFFERED] > 0 then return ticket, w end
  end
end

-- Notes the limits that hold now: the line moves on by them.
local function note_limits(c, limit, company_limit, product, product_limit)
  local pool = c.pool
  product_limit = product_limit > 0 and product_limit or nil
  if pool.limit == limit and pool.company_limit == company_limit and pool.product_limits[product] == product_limit then return end
  pool.limit, pool.company_limit, pool.product_limits[product] = limit, company_limit, product_limit
  c.kept = nil
end

local function matching(why, company, product)
  return function(r)
    if not counts(r[MODE]) then return false end
    if why == 'company' then return works_in(r, company) end
    return why ~= 'product' or r[PRODUCT] == product
  end
end

-- In how long a seat surely is free that somebody needs, and some of those who hold them, by the number of the list:
-- lists are answered once a turn.
local function frees(c, why, company, product, most, lease)
  local about = table.concat({why, why == 'company' and company or '', why == 'product' and product or '', most}, '\n')
  local known = c.lists[about]
  if not known then
    local list = holders(c, matching(why, company, product), most)
    c.shown[#c.shown + 1] = list
    known = {list[1] and ends_of(cmsgpack.unpack(list[1][2])), #c.shown}
    c.lists[about] = known
  end
  return whole(math.max(0, (known[1] or c.t + lease) - c.t)), known[2]
end
