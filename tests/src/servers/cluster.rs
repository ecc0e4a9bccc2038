//! A Redis Cluster of a test's own.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use redis::{FromRedisValue, Value};

use super::{
    local::OwnRedis,
    replicated::{ANSWERS_WITHIN, Replicated, agreed, connect},
};
use crate::{SOON, eventually, programs::free_port};

/// The slots of every cluster.
const SLOTS: usize = 16_384;
/// How long a node may be silent before the others replace it.
const NODE_TIMEOUT: Duration = Duration::from_millis(700);

/// Primaries that have equal stretches of the slots, and replicas. It ends with this value.
pub struct RedisCluster {
    nodes: Vec<OwnRedis>,
    primaries: usize,
}

impl RedisCluster {
    /// Starts so many primaries, each with so many replicas, and waits until all is well.
    ///
    /// # Panics
    /// If Redis is not installed, or they do not find each other in time.
    pub async fn start(primaries: usize, replicas_each: usize) -> Self {
        let count = primaries * (1 + replicas_each);
        let started = join_all((0..count).map(|_| start_node())).await;
        let (nodes, buses): (Vec<OwnRedis>, Vec<u16>) = started.into_iter().unzip();
        let cluster = Self { nodes, primaries };
        cluster.join(&buses).await;
        cluster.settled().await;
        cluster
    }

    /// The slot of the shard with this number of a queue that has as many shards as there are primaries.
    ///
    /// # Panics
    /// If a node does not answer.
    pub async fn slot_of_shard(&self, queue: &str, shard: usize) -> usize {
        let (first, last) = self.stretch(shard);
        let mut number = 0;
        loop {
            let key = format!("{{{queue}:{shard}.{number}}}");
            let slot = self.told(0, &["KEYSLOT", &key]).await;
            if (first..=last).contains(&slot) {
                return slot;
            }
            number += 1;
        }
    }

    /// Moves a slot to another primary, as `redis-cli --cluster reshard` does: key by key, while clients use them. Answers how
    /// many keys that were.
    ///
    /// # Panics
    /// If a node refuses a step.
    pub async fn move_slot(&self, slot: usize, from: usize, to: usize) -> usize {
        let mut connection = self.connection(from).await.expect("it answers");
        let port = self.nodes[to].port();
        let slot = slot.to_string();
        let from_id: String = self.told(from, &["MYID"]).await;
        let to_id: String = self.told(to, &["MYID"]).await;
        for (node, what, id) in [(to, "IMPORTING", &from_id), (from, "MIGRATING", &to_id)] {
            let _: String = self.told(node, &["SETSLOT", &slot, what, id]).await;
        }
        let mut moved = 0;
        loop {
            let keys: Vec<String> = self.told(from, &["GETKEYSINSLOT", &slot, "1"]).await;
            let Some(key) = keys.first() else { break };
            let mut migrate = redis::cmd("MIGRATE");
            migrate.arg("127.0.0.1").arg(port).arg(key).arg(0);
            migrate.arg(ANSWERS_WITHIN.as_millis());
            let migrated = migrate.exec_async(&mut connection).await;
            migrated.expect("a key is moved");
            moved += 1;
        }
        for node in [to, from] {
            let _: String = self.told(node, &["SETSLOT", &slot, "NODE", &to_id]).await;
        }
        moved
    }

    /// What a node says. It must.
    async fn told<T: FromRedisValue>(&self, node: usize, words: &[&str]) -> T {
        let said = self.ask(node, words).await;
        let said = said.unwrap_or_else(|| panic!("{words:?} is refused"));
        T::from_redis_value(said).unwrap_or_else(|e| panic!("{words:?}: {e}"))
    }

    async fn join(&self, buses: &[u16]) {
        for (node, bus) in self.nodes.iter().zip(buses).skip(1) {
            let port = node.port().to_string();
            self.ask(0, &["MEET", "127.0.0.1", &port, &bus.to_string()])
                .await;
        }
        for part in 0..self.primaries {
            let (first, last) = self.stretch(part);
            self.ask(
                part,
                &["ADDSLOTSRANGE", &first.to_string(), &last.to_string()],
            )
            .await;
        }
        for replica in self.primaries..self.nodes.len() {
            let primary = (replica - self.primaries) % self.primaries;
            let id: String = self.told(primary, &["MYID"]).await;
            eventually("it knows its primary", SOON, async || {
                self.ask(replica, &["REPLICATE", &id]).await.is_some()
            })
            .await;
        }
    }

    /// The first and the last slot of a part.
    fn stretch(&self, part: usize) -> (usize, usize) {
        let begin = |part: usize| part * SLOTS / self.primaries;
        (begin(part), begin(part + 1) - 1)
    }

    /// `None`: it does not answer, or refuses it.
    async fn ask(&self, node: usize, words: &[&str]) -> Option<Value> {
        let mut redis = self.connection(node).await?;
        let mut command = redis::cmd("CLUSTER");
        command.arg(words);
        command.query_async(&mut redis).await.ok()
    }

    /// The port of the primary of a slot, as this node sees it, if the cluster works for it.
    async fn seen_by(&self, node: usize, slot: usize) -> Option<u16> {
        let info = String::from_redis_value(self.ask(node, &["INFO"]).await?).ok()?;
        if !info.contains("cluster_state:ok") {
            return None;
        }
        let ranges = Vec::<Vec<Value>>::from_redis_value(self.ask(node, &["SLOTS"]).await?).ok()?;
        let range = ranges.into_iter().find(|range| {
            let bound = |at: usize| usize::from_redis_value_ref(&range[at]).unwrap_or(SLOTS);
            (bound(0)..=bound(1)).contains(&slot)
        })?;
        let primary = Vec::<Value>::from_redis_value_ref(&range[2]).ok()?;
        u16::from_redis_value_ref(&primary[1]).ok()
    }
}

#[async_trait]
impl Replicated for RedisCluster {
    fn nodes(&self) -> &[OwnRedis] {
        &self.nodes
    }

    fn nodes_mut(&mut self) -> &mut [OwnRedis] {
        &mut self.nodes
    }

    fn url(&self) -> String {
        let nodes = self.nodes.iter();
        let nodes: Vec<String> = nodes
            .map(|node| format!("127.0.0.1:{}", node.port()))
            .collect();
        format!("redis-cluster://{}", nodes.join(","))
    }

    fn primaries(&self) -> usize {
        self.primaries
    }

    /// All nodes that answer must agree, and they must be more than half.
    async fn primary_of(&self, part: usize) -> Option<usize> {
        let (slot, _) = self.stretch(part);
        let asking = (0..self.nodes.len()).map(|node| self.seen_by(node, slot));
        let seen: Vec<u16> = join_all(asking).await.into_iter().flatten().collect();
        let at = agreed(&self.nodes, &seen, self.nodes.len() / 2 + 1)?;
        connect(&self.nodes[at].url()).await.map(|_| at)
    }
}

/// A node, and the port on which the others talk to it.
async fn start_node() -> (OwnRedis, u16) {
    let (bus, timeout) = (free_port(), NODE_TIMEOUT.as_millis());
    let (port_of_bus, timeout) = (bus.to_string(), timeout.to_string());
    let node = OwnRedis::start_with(&[
        "--cluster-enabled",
        "yes",
        // Else it would be a port that is 10,000 higher than the node's own, and that may be somebody's.
        "--cluster-port",
        &port_of_bus,
        "--cluster-node-timeout",
        &timeout,
        "--cluster-allow-replica-migration",
        "no",
        // However far it is behind, a replica takes over: what comes of that is what is tested.
        "--cluster-replica-validity-factor",
        "0",
        // The slots of a part that is away do not stop the others.
        "--cluster-require-full-coverage",
        "no",
        "--repl-diskless-sync-delay",
        "0",
    ])
    .await;
    (node, bus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_replica_takes_over_when_its_primary_is_killed_and_the_former_one_follows_it() {
        let mut cluster = RedisCluster::start(3, 1).await;
        let former = cluster.primary_of(1).await.unwrap();
        assert_eq!(cluster.replicas_of(former).await.len(), 1);
        cluster.nodes_mut()[former].stop();
        let new = eventually("a replica has taken over", SOON, async || {
            let primary = cluster.primary_of(1).await;
            primary.filter(|primary| *primary != former)
        })
        .await;
        cluster.nodes_mut()[former].restart().await;
        cluster.settled().await;
        eventually("the former primary follows it", SOON, async || {
            cluster.replicas_of(new).await == [former]
        })
        .await;
    }
}
