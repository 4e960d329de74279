#include "services/ai/jobs/scripts.h"

// clang-format off

// An entry's task, as gtv_job_entry_read knows it.
#define TASK_OF \
    "local function task_of(id, f)\n" \
    "  local task, nonce\n" \
    "  for i = 1, #f, 2 do\n" \
    "    if f[i] == 'task_id' then task = f[i + 1] elseif f[i] == 'nonce' then nonce = f[i + 1] end\n" \
    "  end\n" \
    "  local function fine(s, n) return s and #s > 0 and #s <= n and not string.find(s, '[^%w._:-]') end\n" \
    "  if fine(task, 128) then return task end\n" \
    "  if fine(nonce, 32) then return id .. '-' .. nonce end\n" \
    "  return id\n" \
    "end\n"

// The one answer to a task: stored, its callback planned, and those who wait told. The first answer stays.
#define ANSWER \
    "local wake = redis.call('EXISTS', 'ai:waiting') == 1\n" \
    "local function answer(task, json, ttl, now, url)\n" \
    "  if not redis.call('SET', 'ai:result:' .. task, json, 'EX', ttl, 'NX') then return 0 end\n" \
    "  if url and url ~= '' then\n" \
    "    redis.call('HSET', 'ai:callback:' .. task, 'url', url, 'body', json, 'attempts', 0)\n" \
    "    redis.call('EXPIRE', 'ai:callback:' .. task, 86400)\n" \
    "    redis.call('ZADD', 'ai:callbacks', now, task)\n" \
    "    redis.call('EXPIRE', 'ai:callbacks', 86400)\n" \
    "  end\n" \
    "  if wake then redis.call('XADD', 'ai:done', 'MAXLEN', '~', 10000, '*', 'task', task)\n" \
    "    redis.call('EXPIRE', 'ai:done', 3600) end\n" \
    "  return 1\n" \
    "end\n"

#define ADD \
    "local function add(fields)\n" \
    "  local id = redis.call('XADD', 'ai:jobs', '*', unpack(fields))\n" \
    "  local ms, seq = string.match(id, '^(%d+)-(%d+)$')\n" \
    "  redis.call('ZADD', 'ai:index', tonumber(ms) + math.min(tonumber(seq), 4095) / 4096, id)\n" \
    "  redis.call('EXPIRE', 'ai:index', 86400)\n" \
    "  return id\n" \
    "end\n"

// The entry in which a task lies: its own, or the one it was put into again.
#define FIND TASK_OF \
    "local function find(task, id)\n" \
    "  id = redis.call('GET', 'ai:moved:' .. task) or id\n" \
    "  if id == '' then return nil end\n" \
    "  local e = redis.call('XRANGE', 'ai:jobs', id, id)\n" \
    "  if e[1] and task_of(id, e[1][2]) == task then return id end\n" \
    "end\n"

// ARGV: most entries, digest ('' without a key), the key's hash, the key's life in s, nonce, then the fields.
// {"new", id}, {"same", task}, {"other"} or {"full", length}
const char gtv_script_submit[] = ADD
    "local idem = 'ai:idempotency:' .. ARGV[3]\n"
    "if ARGV[2] ~= '' then\n"
    "  local known = redis.call('GET', idem)\n"
    "  if known then\n"
    "    local digest, task = string.match(known, '^(%S+) (%S+)$')\n"
    "    if digest == ARGV[2] then return {'same', task} end\n"
    "    return {'other'}\n"
    "  end\n"
    "end\n"
    "local length = redis.call('XLEN', 'ai:jobs')\n"
    "if length >= tonumber(ARGV[1]) then return {'full', length} end\n"
    "local fields = {}\n"
    "for i = 6, #ARGV do fields[#fields + 1] = ARGV[i] end\n"
    "local id = add(fields)\n"
    "if ARGV[2] ~= '' then redis.call('SET', idem, ARGV[2] .. ' ' .. id .. '-' .. ARGV[5], 'EX', ARGV[4]) end\n"
    "return {'new', id}\n";

// ARGV: most entries, the entry, its place by age, its task. What was added without gtv_script_submit (no
// picture passes through Lua then, which reads each of its bytes to hash it) gets its place in the index, or
// leaves again where the queue was full. {"new", length} or {"full", length}
const char gtv_script_added[] =
    "local length = redis.call('XLEN', 'ai:jobs')\n"
    "if redis.call('EXISTS', 'ai:result:' .. ARGV[4]) == 1 then return {'new', length} end\n"
    "if length > tonumber(ARGV[1]) then\n"
    "  pcall(redis.call, 'XACK', 'ai:jobs', 'ai', ARGV[2])\n"
    "  redis.call('XDEL', 'ai:jobs', ARGV[2])\n"
    "  redis.call('HDEL', 'ai:started', ARGV[2])\n"
    "  redis.call('HDEL', 'ai:deaths', ARGV[2])\n"
    "  return {'full', length - 1}\n"
    "end\n"
    "redis.call('ZADD', 'ai:index', ARGV[3], ARGV[2])\n"
    "redis.call('EXPIRE', 'ai:index', 86400)\n"
    "return {'new', length}\n";

// ARGV: consumer, entries. For each 1: it is this consumer's and may run; 0: it was cancelled or taken over.
const char gtv_script_start[] =
    "local out = {}\n"
    "for i = 2, #ARGV do\n"
    "  local p = redis.call('XPENDING', 'ai:jobs', 'ai', ARGV[i], ARGV[i], 1)\n"
    "  if p[1] and p[1][2] == ARGV[1] then\n"
    "    redis.call('HSET', 'ai:started', ARGV[i], ARGV[1])\n"
    "    out[#out + 1] = 1\n"
    "  else out[#out + 1] = 0 end\n"
    "end\n"
    "redis.call('EXPIRE', 'ai:started', 86400)\n"
    "return out\n";

// ARGV: result's life in s, now in ms, then entry, task, JSON and callback ('' without) of each job. For each
// 1: stored; 0: it had been answered, cancelled or lost before, and nothing was changed.
const char gtv_script_finish[] = ANSWER
    "local out = {}\n"
    "for i = 3, #ARGV, 4 do\n"
    "  local id = ARGV[i]\n"
    "  if redis.call('XACK', 'ai:jobs', 'ai', id) == 1 then\n"
    "    redis.call('XDEL', 'ai:jobs', id)\n"
    "    redis.call('HDEL', 'ai:started', id)\n"
    "    redis.call('HDEL', 'ai:deaths', id)\n"
    "    redis.call('ZREM', 'ai:index', id)\n"
    "    out[#out + 1] = answer(ARGV[i + 1], ARGV[i + 2], ARGV[1], ARGV[2], ARGV[i + 3])\n"
    "  else out[#out + 1] = 0 end\n"
    "end\n"
    "return out\n";

// ARGV: consumer, how many it has room for, result's life in s, now in ms. Takes what belongs to consumers
// whose lease is gone, and ends what killed three of them. {{id, fields, deaths} ..., deaths counted, buried}
const char gtv_script_take_over[] = TASK_OF ANSWER
    "local out, room, died, buried = {}, tonumber(ARGV[2]), 0, 0\n"
    "local function bury(id, deaths, name)\n"
    "  local e = redis.call('XRANGE', 'ai:jobs', id, id)[1]\n"
    "  redis.call('XACK', 'ai:jobs', 'ai', id)\n"
    "  redis.call('XDEL', 'ai:jobs', id)\n"
    "  redis.call('HDEL', 'ai:deaths', id)\n"
    "  redis.call('ZREM', 'ai:index', id)\n"
    "  if not e then return end\n"
    "  buried = buried + 1\n"
    "  local f, url, task = e[2], '', task_of(id, e[2])\n"
    "  local cause = 'its worker died ' .. deaths .. ' times while it ran, last ' .. name\n"
    "  local d = {}\n"
    "  for i = 1, math.min(#f, 128), 2 do\n"
    "    if f[i] == 'callback_url' then url = f[i + 1] end\n"
    "    if string.sub(f[i], 1, 5) ~= 'dead:' then d[#d + 1] = f[i]; d[#d + 1] = f[i + 1] end\n"
    "  end\n"
    "  redis.call('XADD', 'ai:dead', 'MAXLEN', 1000, '*', 'dead:task', task, 'dead:entry', id, 'dead:deaths', deaths,\n"
    "    'dead:cause', cause, 'dead:at_ms', ARGV[4], unpack(d))\n"
    "  answer(task, cjson.encode({task_id = task, status = 'failed', error = {detail =\n"
    "    'The job was given up: ' .. cause, code = 'worker_died'}}), ARGV[3], ARGV[4], url)\n"
    "end\n"
    "for _, c in ipairs(redis.call('XINFO', 'CONSUMERS', 'ai:jobs', 'ai')) do\n"
    "  local name, pending = c[2], c[4]\n"
    "  if name ~= ARGV[1] and redis.call('EXISTS', 'ai:lease:' .. name) == 0 then\n"
    "    if pending == 0 then redis.call('XGROUP', 'DELCONSUMER', 'ai:jobs', 'ai', name)\n"
    "    elseif #out < room then\n"
    "      for _, p in ipairs(redis.call('XPENDING', 'ai:jobs', 'ai', '-', '+', room - #out, name)) do\n"
    "        local id = p[1]\n"
    "        local deaths = tonumber(redis.call('HGET', 'ai:deaths', id) or 0)\n"
    "        if redis.call('HGET', 'ai:started', id) == name then\n"
    "          redis.call('HDEL', 'ai:started', id)\n"
    "          deaths = redis.call('HINCRBY', 'ai:deaths', id, 1)\n"
    "          redis.call('EXPIRE', 'ai:deaths', 86400)\n"
    "          died = died + 1\n"
    "        end\n"
    "        if deaths >= 3 then bury(id, deaths, name)\n"
    "        else\n"
    "          local e = redis.call('XCLAIM', 'ai:jobs', 'ai', ARGV[1], 0, id)[1]\n"
    "          if e and e[2] then out[#out + 1] = {e[1], e[2], deaths}\n"
    "          else\n"
    "            redis.call('XACK', 'ai:jobs', 'ai', id)\n"
    "            redis.call('HDEL', 'ai:deaths', id)\n"
    "            redis.call('ZREM', 'ai:index', id)\n"
    "          end\n"
    "        end\n"
    "      end\n"
    "    end\n"
    "  end\n"
    "end\n"
    "return {out, died, buried}\n";

// ARGV: task, its entry or ''. "deleted" (a result), "running", "queued" or "unknown".
const char gtv_script_cancel[] = FIND
    "local task = ARGV[1]\n"
    "redis.call('ZREM', 'ai:callbacks', task)\n"
    "redis.call('DEL', 'ai:callback:' .. task)\n"
    "if redis.call('DEL', 'ai:result:' .. task) == 1 then return 'deleted' end\n"
    "local id = find(task, ARGV[2])\n"
    "if not id then return 'unknown' end\n"
    "local running = redis.call('HDEL', 'ai:started', id) == 1\n"
    "pcall(redis.call, 'XACK', 'ai:jobs', 'ai', id)\n"
    "redis.call('XDEL', 'ai:jobs', id)\n"
    "redis.call('HDEL', 'ai:deaths', id)\n"
    "redis.call('ZREM', 'ai:index', id)\n"
    "redis.call('DEL', 'ai:moved:' .. task)\n"
    "return running and 'running' or 'queued'\n";

// ARGV: task, its entry or '', whether more than the result is asked for. {"done", JSON}, {"running"}, {"queued", jobs before it} or {"none"}
const char gtv_script_state[] = FIND
    "local json = redis.call('GET', 'ai:result:' .. ARGV[1])\n"
    "if json then return {'done', json} end\n"
    "if ARGV[3] == '0' then return {'none'} end\n"
    "local id = find(ARGV[1], ARGV[2])\n"
    "if not id then return {'none'} end\n"
    "if redis.call('HEXISTS', 'ai:started', id) == 1 then return {'running'} end\n"
    "local before = (redis.call('ZRANK', 'ai:index', id) or 0) - redis.call('HLEN', 'ai:started')\n"
    "return {'queued', math.max(before, 0)}\n";

// {length, running, consumers, oldest entry or '', dead, callbacks, delivered and not finished}. Entries that
// somebody trimmed away leave the index on this occasion.
const char gtv_script_queue[] =
    "local consumers, pending = 0, 0\n"
    "local ok, list = pcall(redis.call, 'XINFO', 'CONSUMERS', 'ai:jobs', 'ai')\n"
    "if ok and not list.err then\n"
    "  for _, c in ipairs(list) do\n"
    "    pending = pending + c[4]\n"
    "    if redis.call('EXISTS', 'ai:lease:' .. c[2]) == 1 then consumers = consumers + 1 end\n"
    "  end\n"
    "end\n"
    "local oldest = redis.call('ZRANGE', 'ai:index', 0, 0)[1]\n"
    "for _ = 1, 100 do\n"
    "  if not oldest or redis.call('XRANGE', 'ai:jobs', oldest, oldest)[1] then break end\n"
    "  redis.call('ZREM', 'ai:index', oldest)\n"
    "  oldest = redis.call('ZRANGE', 'ai:index', 0, 0)[1]\n"
    "end\n"
    "return {redis.call('XLEN', 'ai:jobs'), redis.call('HLEN', 'ai:started'), consumers, oldest or '',\n"
    "  redis.call('XLEN', 'ai:dead'), redis.call('ZCARD', 'ai:callbacks'), pending}\n";

// ARGV: most entries, id before which they lie ('+': the newest). {{id, picture's bytes, fields without it} ...}
const char gtv_script_dead_list[] =
    "local out, last = {}, ARGV[2]\n"
    "for _ = 1, tonumber(ARGV[1]) do\n"
    "  local e = redis.call('XREVRANGE', 'ai:dead', last, '-', 'COUNT', 1)[1]\n"
    "  if not e then break end\n"
    "  last = '(' .. e[1]\n"
    "  local f, size = {}, 0\n"
    "  for i = 1, #e[2], 2 do\n"
    "    if e[2][i] == 'picture' or e[2][i] == 'image_base64' then size = #e[2][i + 1]\n"
    "    elseif #e[2][i + 1] <= 1024 then f[#f + 1] = e[2][i]; f[#f + 1] = e[2][i + 1] end\n"
    "  end\n"
    "  out[#out + 1] = {e[1], size, f}\n"
    "end\n"
    "return out\n";

// ARGV: id of the dead letter, most entries. {"new", entry, task}, {"full"} or {"none"}. The answer that said
// it was dead goes, so that there is one answer again.
const char gtv_script_requeue[] = ADD
    "local e = redis.call('XRANGE', 'ai:dead', ARGV[1], ARGV[1])[1]\n"
    "if not e then return {'none'} end\n"
    "if redis.call('XLEN', 'ai:jobs') >= tonumber(ARGV[2]) then return {'full'} end\n"
    "local f, task = {}, nil\n"
    "for i = 1, #e[2], 2 do\n"
    "  local k = e[2][i]\n"
    "  if k == 'dead:task' then task = e[2][i + 1]\n"
    "  elseif string.sub(k, 1, 5) ~= 'dead:' and k ~= 'task_id' and k ~= 'nonce' then f[#f + 1] = k; f[#f + 1] = e[2][i + 1] end\n"
    "end\n"
    "if task then f[#f + 1] = 'task_id'; f[#f + 1] = task end\n"
    "local id = add(f)\n"
    "task = task or id\n"
    "redis.call('XDEL', 'ai:dead', ARGV[1])\n"
    "redis.call('DEL', 'ai:result:' .. task, 'ai:callback:' .. task)\n"
    "redis.call('ZREM', 'ai:callbacks', task)\n"
    "redis.call('SET', 'ai:moved:' .. task, id, 'EX', 86400)\n"
    "return {'new', id, task}\n";

// ARGV: now in ms, most callbacks, until when they are the caller's. {{task, url, body, attempt} ...}
const char gtv_script_callbacks_take[] =
    "local out = {}\n"
    "for _, task in ipairs(redis.call('ZRANGEBYSCORE', 'ai:callbacks', '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])) do\n"
    "  local key = 'ai:callback:' .. task\n"
    "  local h = redis.call('HMGET', key, 'url', 'body')\n"
    "  if h[1] and h[2] then\n"
    "    redis.call('ZADD', 'ai:callbacks', ARGV[3], task)\n"
    "    out[#out + 1] = {task, h[1], h[2], redis.call('HINCRBY', key, 'attempts', 1)}\n"
    "  else redis.call('ZREM', 'ai:callbacks', task) end\n"
    "end\n"
    "return out\n";

// ARGV: task, when to try again ('': it is over)
const char gtv_script_callback_settle[] =
    "if ARGV[2] == '' then\n"
    "  redis.call('ZREM', 'ai:callbacks', ARGV[1])\n"
    "  redis.call('DEL', 'ai:callback:' .. ARGV[1])\n"
    "else redis.call('ZADD', 'ai:callbacks', 'XX', ARGV[2], ARGV[1]) end\n"
    "return 1\n";
