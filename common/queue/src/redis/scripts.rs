//! The steps of the claim protocol that must be atomic, as Lua scripts
//! ([Redis: scripting](https://redis.io/docs/latest/develop/programmability/eval-intro/)).
//!
//! - They move elements one at a time with `LMOVE`, so that even after a script that fails half-way every element is in
//!   exactly one list.
//! - They are declared `allow-oom`, because workers must be able to empty a Redis whose memory is full (needs Redis 7).
//! - Deadlines are by the server's clock, the only one that all workers share. It may be set back: a deadline further
//!   away than the longest lease was set by the former clock, and counts as run out. A live owner's next renewal sets it
//!   right; if somebody has adopted the claim before, that does no harm.

use std::time::Duration;

use event::{ClaimId, element, frame::FRAME_MAX_EVENTS};
use redis::{Script, ScriptInvocation};

use super::keys::Keys;
use crate::LONGEST_LEASE;

/// The code of the errors of a rehearsal: the command, the key and the error that it met follow.
pub(super) const REHEARSAL: &str = "REHEARSAL";

pub(super) struct Scripts {
    /// One more key, `oversized`. ARGV max events, max bytes, lease in ms, max bytes of an element. Returns the bytes of the
    /// element that was set aside because it is larger, or 0; then the elements, oldest first. A claim has as many events as
    /// it takes to reach the least of both, so it ends with a whole frame.
    pub(super) claim: Script,
    /// ARGV lease in ms. Returns whether the claim is still there.
    pub(super) renew: Script,
    /// No further ARGV.
    pub(super) settle: Script,
    /// ARGV 1 to release it although it was adopted, else 0. Returns whether it was done.
    pub(super) release: Script,
    /// KEYS leases, adopted; ARGV lease in ms, prefix of the claims' keys, longest lease in ms. Returns nothing, or a
    /// claim's id and its elements, oldest first.
    adopt: Script,
    /// KEYS queue, handoff, extra, leases, sizes; ARGV prefix of the claims' keys, bytes. Returns pending, processing, and
    /// so many bytes of the oldest element that waits, from its beginning.
    depth: Script,
    /// ARGV max events, max bytes. Returns the elements that wait, oldest first, until they have so many events or bytes; one
    /// that is larger is left out, and so is what is behind it.
    peek: Script,
    /// KEYS queue, handoff, extra, leases, sizes, adopted, probe; returns nothing, or an error that begins with
    /// [`REHEARSAL`].
    rehearse_publishing: Script,
    /// The same.
    rehearse_work: Script,
}

/// All but `adopt` and `depth` get the same keys and, first, the claim's id.
const NAMES: &str = r"
local queue, handoff, extra, leases, sizes, adopted, claim = unpack(KEYS)
local id = ARGV[1]
";

const DEADLINE: &str = r"
local function deadline(lease)
  local now = redis.call('TIME')
  return now[1] * 1000 + math.floor(now[2] / 1000) + tonumber(lease)
end
";

/// How many events an element counts for, and how many bytes it takes once it is read: of a frame, what its first line says.
/// Nobody else's element counts for more than one.
const SIZE: &str = r"
local function size(element)
  local events, bytes = string.match(element, '^frame/2 events=(%d+) accepted=[%d:TZ.-]+ coding=%l%w+ bytes=(%d+)\n')
  events, bytes = tonumber(events), tonumber(bytes)
  if not events or events < 1 or events > MAX_EVENTS then
    return 1, #element
  end
  return events, bytes
end
local function count(more)
  if redis.call('EXISTS', queue, handoff) == 0 then
    redis.call('DEL', extra)
  elseif more ~= 0 then
    redis.call('INCRBY', extra, more)
  end
end
";

/// Whatever the counts say, an empty queue holds nothing: there they begin anew.
const CLAIM: &str = r"
local oversized = KEYS[8]
local max, max_bytes, lease, max_element = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
if redis.call('EXISTS', queue, handoff) == 0 then
  redis.call('DEL', extra)
  return {0}
end
redis.call('ZADD', leases, deadline(lease), id)
local taken, events, bytes, aside, more = {0}, 0, 0, 0, 0
for _, source in ipairs({handoff, queue}) do
  while events < max and bytes < max_bytes and aside == 0 do
    local element = redis.call('LMOVE', source, claim, 'RIGHT', 'LEFT')
    if not element then break end
    local held, length = size(element)
    more = more + 1 - held
    if #element > max_element then
      redis.call('LMOVE', claim, oversized, 'LEFT', 'LEFT')
      aside = #element
    else
      taken[#taken + 1] = element
      events = events + held
      bytes = bytes + length
    end
  end
end
count(more)
if #taken == 1 then
  redis.call('ZREM', leases, id)
else
  redis.call('HSET', sizes, id, events)
end
taken[1] = aside
return taken
";

const RENEW: &str = r"
if not redis.call('ZSCORE', leases, id) then
  return 0
end
redis.call('ZADD', leases, 'XX', deadline(ARGV[2]), id)
return 1
";

const SETTLE: &str = r"
redis.call('DEL', claim)
redis.call('ZREM', leases, id)
redis.call('HDEL', sizes, id)
redis.call('SREM', adopted, id)
";

const RELEASE: &str = r"
if not redis.call('ZSCORE', leases, id) or (ARGV[2] == '0' and redis.call('SISMEMBER', adopted, id) == 1) then
  return 0
end
local more, element = 0, redis.call('LMOVE', claim, queue, 'LEFT', 'RIGHT')
while element do
  more = more + size(element) - 1
  element = redis.call('LMOVE', claim, queue, 'LEFT', 'RIGHT')
end
count(more)
redis.call('ZREM', leases, id)
redis.call('HDEL', sizes, id)
redis.call('SREM', adopted, id)
return 1
";

const ADOPT: &str = r"
local leases, adopted, lease, prefix, longest = KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3]
local function first(from, to)
  return redis.call('ZRANGE', leases, from, to, 'BYSCORE', 'LIMIT', 0, 1)[1]
end
local id = first('-inf', deadline(0)) or first('(' .. string.format('%.0f', deadline(longest)), '+inf')
if not id then
  return {}
end
redis.call('SADD', adopted, id)
redis.call('ZADD', leases, 'XX', deadline(lease), id)
local elements = redis.call('LRANGE', prefix .. id, 0, -1)
local found = {id}
for at = #elements, 1, -1 do
  found[#found + 1] = elements[at]
end
return found
";

/// A claim of an aggregator that knew no frames has no size: its elements are one event each.
const DEPTH: &str = r"
local queue, handoff, extra, leases, sizes = unpack(KEYS)
local processing = 0
for _, id in ipairs(redis.call('ZRANGE', leases, 0, -1)) do
  processing = processing + (redis.call('HGET', sizes, id) or redis.call('LLEN', ARGV[1] .. id))
end
local pending = redis.call('LLEN', queue) + redis.call('LLEN', handoff)
if pending > 0 then
  pending = pending + math.max(0, redis.call('GET', extra) or 0)
end
local oldest = redis.call('LRANGE', handoff, -1, -1)[1] or redis.call('LRANGE', queue, -1, -1)[1] or ''
return {pending, processing, string.sub(oldest, 1, ARGV[2])}
";

const PEEK: &str = r"
local max, max_bytes = tonumber(ARGV[1]), tonumber(ARGV[2])
local found, events, bytes = {}, 0, 0
for _, source in ipairs({handoff, queue}) do
  for at = 1, redis.call('LLEN', source) do
    if events >= max then
      return found
    end
    local element = redis.call('LRANGE', source, -at, -at)[1]
    bytes = bytes + #element
    if bytes > max_bytes then
      return found
    end
    found[#found + 1] = element
    events = events + size(element)
  end
end
return found
";

const REHEARSE: &str = r"
local queue, handoff, extra, leases, sizes, adopted, probe = unpack(KEYS)
local function fail(command, key, why)
  error(redis.error_reply('REHEARSAL ' .. command .. ' ' .. key .. ' ' .. why))
end
local function run(command, key, ...)
  local answer = redis.pcall(command, key, ...)
  if type(answer) == 'table' and answer.err then
    fail(command, key, answer.err)
  end
  return answer
end
local function expect(kind, key)
  local found = run('TYPE', key).ok
  if found ~= 'none' and found ~= kind then
    fail('TYPE', key, 'WRONGTYPE it is of the type ' .. found .. ', not ' .. kind)
  end
end
expect('list', queue)
expect('list', handoff)
expect('string', extra)
expect('zset', leases)
expect('hash', sizes)
expect('set', adopted)
run('DEL', probe)
";

const REHEARSE_PUBLISHING: &str = r"
run('LLEN', queue)
run('LPUSH', probe, '')
run('DEL', probe)
run('INCRBY', probe, 1)
run('GET', probe)
run('DEL', probe)
";

/// `BLMOVE` is not among them: scripts may not run it.
const REHEARSE_WORK: &str = r"
run('LLEN', queue)
run('LMOVE', probe, probe, 'RIGHT', 'LEFT')
run('LRANGE', probe, 0, 0)
run('SADD', probe, '')
run('SISMEMBER', probe, '')
run('SREM', probe, '')
run('ZADD', probe, 0, '')
run('ZSCORE', probe, '')
run('ZRANGE', probe, 0, 0)
run('ZREM', probe, '')
run('HSET', probe, '', 0)
run('HGET', probe, '')
run('HDEL', probe, '')
run('INCRBY', probe, 1)
run('GET', probe)
run('EXISTS', probe)
run('DEL', probe)
";

impl Scripts {
    pub(super) fn new() -> Self {
        let size = format!("local MAX_EVENTS = {FRAME_MAX_EVENTS}\n{SIZE}");
        let write = |code: &str| {
            Script::new(&format!(
                "#!lua flags=allow-oom\n{NAMES}{DEADLINE}{size}{code}"
            ))
        };
        Self {
            claim: write(CLAIM),
            renew: write(RENEW),
            settle: write(SETTLE),
            release: write(RELEASE),
            adopt: Script::new(&format!("#!lua flags=allow-oom\n{DEADLINE}{ADOPT}")),
            depth: Script::new(&format!("#!lua flags=no-writes\n{DEPTH}")),
            peek: Script::new(&format!("#!lua flags=no-writes\n{NAMES}{size}{PEEK}")),
            // A push may not exceed the server's memory.
            rehearse_publishing: Script::new(&format!("#!lua\n{REHEARSE}{REHEARSE_PUBLISHING}")),
            rehearse_work: Script::new(&format!(
                "#!lua flags=allow-oom\n{REHEARSE}{REHEARSE_WORK}"
            )),
        }
    }

    pub(super) fn adopt(&self, keys: &Keys, lease_millis: u64) -> ScriptInvocation<'_> {
        let mut invocation = self.adopt.prepare_invoke();
        invocation
            .key(&keys.leases)
            .key(&keys.adopted)
            .arg(lease_millis)
            .arg(&keys.claim_prefix)
            .arg(millis(LONGEST_LEASE));
        invocation
    }

    pub(super) fn depth(&self, keys: &Keys) -> ScriptInvocation<'_> {
        let mut invocation = self.depth.prepare_invoke();
        invocation
            .key(&keys.queue)
            .key(&keys.handoff)
            .key(&keys.extra)
            .key(&keys.leases)
            .key(&keys.sizes)
            .arg(&keys.claim_prefix)
            .arg(element::HEAD_BYTES);
        invocation
    }

    pub(super) fn peek(&self, keys: &Keys, events: usize, bytes: usize) -> ScriptInvocation<'_> {
        let mut invocation = self.peek.prepare_invoke();
        invocation
            .key(&keys.queue)
            .key(&keys.handoff)
            .arg(events)
            .arg(bytes);
        invocation
    }

    pub(super) fn rehearse_publishing(&self, keys: &Keys) -> ScriptInvocation<'_> {
        rehearsal(&self.rehearse_publishing, keys)
    }

    pub(super) fn rehearse_work(&self, keys: &Keys) -> ScriptInvocation<'_> {
        rehearsal(&self.rehearse_work, keys)
    }
}

fn rehearsal<'a>(script: &'a Script, keys: &Keys) -> ScriptInvocation<'a> {
    let mut invocation = script.prepare_invoke();
    invocation
        .key(&keys.queue)
        .key(&keys.handoff)
        .key(&keys.extra)
        .key(&keys.leases)
        .key(&keys.sizes)
        .key(&keys.adopted)
        .key(&keys.probe);
    invocation
}

/// As the scripts take it.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// One of the scripts about a claim, with its keys and first argument.
pub(super) fn about<'a>(script: &'a Script, keys: &Keys, id: ClaimId) -> ScriptInvocation<'a> {
    let mut invocation = script.prepare_invoke();
    invocation
        .key(&keys.queue)
        .key(&keys.handoff)
        .key(&keys.extra)
        .key(&keys.leases)
        .key(&keys.sizes)
        .key(&keys.adopted)
        .key(keys.claim(id))
        .arg(id.to_string());
    invocation
}
