-- Keeps an answer, and for its organisation no more bytes than it may have: those that end first make room.
-- KEYS: the answer; when each answer of the organisation ends; how large each is, and all together.
-- ARGV: what to keep; for how many seconds; bytes at most; seconds that the two lists live.
local answer, ends, sizes = KEYS[1], KEYS[2], KEYS[3]
local value, seconds, bytes_max, lists_seconds = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local now = tonumber(redis.call('TIME')[1])

local function forget(name)
    local bytes = tonumber(redis.call('HGET', sizes, name) or 0)
    redis.call('DEL', name)
    redis.call('ZREM', ends, name)
    redis.call('HDEL', sizes, name)
    return redis.call('HINCRBY', sizes, 'all', -bytes)
end

for _, name in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, 100)) do
    forget(name)
end
local all = forget(answer)
while all + #value > bytes_max do
    local first = redis.call('ZRANGE', ends, 0, 0)[1]
    if not first then
        break
    end
    all = forget(first)
end
redis.call('SET', answer, value, 'EX', seconds)
redis.call('ZADD', ends, now + seconds, answer)
redis.call('HSET', sizes, answer, #value)
redis.call('HINCRBY', sizes, 'all', #value)
redis.call('EXPIRE', ends, lists_seconds)
redis.call('EXPIRE', sizes, lists_seconds)
