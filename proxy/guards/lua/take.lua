-- Take a call's part of every counter, or of none. KEYS: agent, repeats, recent, failures. ARGV: ask as JSON, time.
local agent, repeats, recent, failures = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local ask, now = cjson.decode(ARGV[1]), clock(tonumber(ARGV[2]))
local second = math.floor(now / 1000)
local PAUSE_MS, MESSAGES_MAX, NEVER_MS = 300000, 2000, -1
local known = redis.call('HMGET', agent, 'block', 'calls', 'tokens', 'busy', 'hold:' .. ask.provider)

local function answer(verdict, wait_ms, more)
    more = more or {}
    more.verdict, more.wait_ms = verdict, wait_ms
    return cjson.encode(more)
end

local function block(rule)
    local text = string.format('%.0f:%.0f:%s', now + ask.cool_down_ms, ask.version, rule)
    redis.call('HSET', agent, 'block', text)
    redis.call('PEXPIRE', agent, KEPT_MS)
    return answer(rule, ask.cool_down_ms, { rule = rule })
end

-- A block that stands
if known[1] then
    local ends, version, rule = string.match(known[1], '(%d+):(%d+):(.*)')
    if tonumber(version) == ask.version and now < tonumber(ends) then
        return answer('blocked', ends - now, { rule = rule })
    end
end

-- The same message again and again
local like, like_count, bucket = {}, 0, 0
if ask.repeat_limit > 0 then
    local length = math.floor(ask.repeat_ms / 60000)
    bucket = second - second % length
    like, like_count = read(redis.call('HGET', repeats, ask['repeat']), second - ask.repeat_ms / 1000 + 1)
    if like_count >= ask.repeat_limit then
        redis.call('HDEL', repeats, ask['repeat'])
        redis.call('ZREM', recent, ask['repeat'])
        return block('loop_repeat')
    end
end

-- No pause for hours
local busy = ''
if ask.busy_ms > 0 then
    local start, last = string.match(known[4] or '', '(%d+):(%d+)')
    start, last = tonumber(start or now), tonumber(last or now)
    if now - last > PAUSE_MS then start = now end
    if now - start >= ask.busy_ms then
        redis.call('HDEL', agent, 'busy')
        return block('loop_busy')
    end
    busy = string.format('%.0f:%.0f', start, math.max(last, now))
end

-- What the call must wait for; the longest wait names the reason
local verdict, wait, failed_count = 'taken', 0, 0
local function must_wait(reason, ms)
    if ms > wait then verdict, wait = reason, ms end
end
must_wait('held_back', math.max(ask.held_ms, (known[5] or 0) - now))
if ask.retries then
    local count, _, ends = string.match(redis.call('GET', failures) or '', '(%d+):(%d+):(%d+)')
    if ends and now < tonumber(ends) then
        failed_count = tonumber(count)
        must_wait('retry_storm', ends - now)
    end
end

local function counter(field, text, more, limit)
    local entries, total = read(text, minute_from(second))
    if more > limit then return entries, true end
    local at, left = second, total
    for _, entry in ipairs(entries) do
        if left + more <= limit then break end
        left, at = left - entry.count, entry.second + MINUTE_SECONDS + 1
    end
    if at > second then must_wait(field, at * 1000 - now) end
    return entries, false
end

local calls, tokens, never
if ask.calls_limit > 0 then calls = counter('calls', known[2], 1, ask.calls_limit) end
if ask.tokens_limit > 0 then tokens, never = counter('tokens', known[3], ask.tokens, ask.tokens_limit) end
if never then return answer('tokens', NEVER_MS) end
if wait > ask.pacing_ms then return answer(verdict, wait, { failed_count = failed_count }) end

-- Room: only from here on is anything written
local at = math.floor((now + wait) / 1000)
if calls then
    add(calls, at, 1)
    redis.call('HSET', agent, 'calls', write(calls))
end
if tokens then
    add(tokens, at, ask.tokens)
    redis.call('HSET', agent, 'tokens', write(tokens))
end
if ask.repeat_limit > 0 then
    add(like, bucket, 1)
    redis.call('HSET', repeats, ask['repeat'], write(like))
    redis.call('ZADD', recent, now, ask['repeat'])
    if redis.call('ZCARD', recent) > MESSAGES_MAX then
        redis.call('HDEL', repeats, redis.call('ZPOPMIN', recent)[1])
    end
    redis.call('PEXPIRE', repeats, ask.repeat_ms + 60000)
    redis.call('PEXPIRE', recent, ask.repeat_ms + 60000)
end
if ask.busy_ms > 0 then redis.call('HSET', agent, 'busy', busy) end
redis.call('PEXPIRE', agent, KEPT_MS)
return answer('taken', wait, {
    at_ms = now + wait, second = at, repeat_second = bucket, busy_before = known[4] or '', busy = busy,
})
