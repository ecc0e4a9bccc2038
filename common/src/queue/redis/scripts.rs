//! The steps of the claim protocol that must be atomic, as Lua scripts
//! ([Redis: scripting](https://redis.io/docs/latest/develop/programmability/eval-intro/)).
//!
//! - They move elements one at a time with `LMOVE`: even a script that fails half-way leaves every
//!   element in one list.
//! - `allow-oom`: a full Redis must be drained, not locked (needs Redis 7).
//! - Deadlines are by the server's clock, the only one that all workers share.

use redis::{Script, ScriptInvocation};

use super::keys::Keys;
use crate::queue::ClaimId;

pub(super) struct Scripts {
    /// ARGV max events, max bytes, lease in ms. Returns the elements, oldest first.
    pub(super) claim: Script,
    /// ARGV lease in ms. Returns whether the claim is still there.
    pub(super) renew: Script,
    /// No further ARGV.
    pub(super) settle: Script,
    /// ARGV 1 to release it although it was adopted, else 0. Returns whether it was done.
    pub(super) release: Script,
    /// KEYS leases, adopted; ARGV lease in ms, prefix of the claims' keys. Returns nothing, or a
    /// claim's id and its elements, oldest first.
    adopt: Script,
    /// Returns pending, processing.
    depth: Script,
}

/// All but `adopt` and `depth` get the same keys and, first, the claim's id.
const NAMES: &str = r"
local queue, handoff, leases, adopted, claim = unpack(KEYS)
local id = ARGV[1]
";

const DEADLINE: &str = r"
local function deadline(lease)
  local now = redis.call('TIME')
  return now[1] * 1000 + math.floor(now[2] / 1000) + tonumber(lease)
end
";

const CLAIM: &str = r"
local max, max_bytes, lease = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
if redis.call('LLEN', handoff) + redis.call('LLEN', queue) == 0 then
  return {}
end
redis.call('ZADD', leases, deadline(lease), id)
local taken, bytes = {}, 0
for _, source in ipairs({handoff, queue}) do
  while #taken < max and bytes < max_bytes do
    local element = redis.call('LMOVE', source, claim, 'RIGHT', 'LEFT')
    if not element then break end
    taken[#taken + 1] = element
    bytes = bytes + #element
  end
end
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
redis.call('SREM', adopted, id)
";

const RELEASE: &str = r"
if not redis.call('ZSCORE', leases, id) or (ARGV[2] == '0' and redis.call('SISMEMBER', adopted, id) == 1) then
  return 0
end
while redis.call('LMOVE', claim, queue, 'LEFT', 'RIGHT') do end
redis.call('ZREM', leases, id)
redis.call('SREM', adopted, id)
return 1
";

const ADOPT: &str = r"
local leases, adopted, lease, prefix = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local id = redis.call('ZRANGE', leases, '-inf', deadline(0), 'BYSCORE', 'LIMIT', 0, 1)[1]
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

const DEPTH: &str = r"
local processing = 0
for _, id in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do
  processing = processing + redis.call('LLEN', ARGV[1] .. id)
end
return {redis.call('LLEN', KEYS[1]) + redis.call('LLEN', KEYS[2]), processing}
";

impl Scripts {
    pub(super) fn new() -> Self {
        let write =
            |code: &str| Script::new(&format!("#!lua flags=allow-oom\n{NAMES}{DEADLINE}{code}"));
        Self {
            claim: write(CLAIM),
            renew: write(RENEW),
            settle: write(SETTLE),
            release: write(RELEASE),
            adopt: Script::new(&format!("#!lua flags=allow-oom\n{DEADLINE}{ADOPT}")),
            depth: Script::new(&format!("#!lua flags=no-writes\n{DEPTH}")),
        }
    }

    pub(super) fn adopt(&self, keys: &Keys, lease_millis: u64) -> ScriptInvocation<'_> {
        let mut invocation = self.adopt.prepare_invoke();
        invocation
            .key(&keys.leases)
            .key(&keys.adopted)
            .arg(lease_millis)
            .arg(&keys.claim_prefix);
        invocation
    }

    pub(super) fn depth(&self, keys: &Keys) -> ScriptInvocation<'_> {
        let mut invocation = self.depth.prepare_invoke();
        invocation
            .key(&keys.queue)
            .key(&keys.handoff)
            .key(&keys.leases)
            .arg(&keys.claim_prefix);
        invocation
    }
}

/// One of the scripts about a claim, with its keys and first argument.
pub(super) fn about<'a>(script: &'a Script, keys: &Keys, id: ClaimId) -> ScriptInvocation<'a> {
    let mut invocation = script.prepare_invoke();
    invocation
        .key(&keys.queue)
        .key(&keys.handoff)
        .key(&keys.leases)
        .key(&keys.adopted)
        .key(keys.claim(id))
        .arg(id.to_string());
    invocation
}
