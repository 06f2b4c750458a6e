-- Goes before each script. A window is text, "second:count second:count …" in order of time: small, and one field.

local MINUTE_SECONDS = 60
local KEPT_MS = 25 * 3600 * 1000  -- a block holds for a day at most

local function clock(told_ms)
    if told_ms > 0 then return told_ms end
    local time = redis.call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- The entries from a second on, and their sum.
local function read(text, from)
    local entries, total = {}, 0
    for second, count in string.gmatch(text or '', '(%d+):(%d+)') do
        second, count = tonumber(second), tonumber(count)
        if second >= from then
            entries[#entries + 1] = { second = second, count = count }
            total = total + count
        end
    end
    return entries, total
end

local function add(entries, second, count)
    local at = #entries + 1
    while at > 1 and entries[at - 1].second >= second do at = at - 1 end
    if entries[at] and entries[at].second == second then
        entries[at].count = math.max(0, entries[at].count + count)
    elseif count > 0 then
        table.insert(entries, at, { second = second, count = count })
    end
end

local function write(entries)
    local parts = {}
    for _, entry in ipairs(entries) do
        if entry.count > 0 then parts[#parts + 1] = string.format('%.0f:%.0f', entry.second, entry.count) end
    end
    return table.concat(parts, ' ')
end

-- The minute that a second is the end of: its first second counts whole, so no sixty seconds ever hold too much.
local function minute_from(second) return second - MINUTE_SECONDS end

-- Change an entry where its window still knows it; what a flush took away is not made anew.
local function move(key, field, from, second, count)
    local text = redis.call('HGET', key, field)
    if not text or second < from then return end
    local entries = read(text, from)
    add(entries, second, count)
    redis.call('HSET', key, field, write(entries))
end
