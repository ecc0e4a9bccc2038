//! Finding the server of a shard: it is fixed, or sentinels or the nodes of a cluster are asked.
//!
//! A shard is in one slot, so it has one primary at a time, and nothing has to be routed. The locator is asked for each
//! connection that is made after one has failed. It sends nothing for anybody: what it finds may be out of date, and then the
//! server that it names refuses what is sent.
//! ([Sentinel clients](https://redis.io/docs/latest/develop/reference/sentinel-clients/),
//! [cluster specification](https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/))

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::select_ok;
use redis::{
    AsyncConnectionConfig, Client, ErrorKind, FromRedisValue, RedisResult, Value,
    aio::MultiplexedConnection,
};

use super::{
    carried::carry,
    place::{Host, Place, Way},
    unfit::Unfit,
};

/// How long whoever is asked may take to answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);
/// So many are asked at the same time. The first answer counts.
const ASKED_AT_ONCE: usize = 3;
/// How many nodes of a cluster are remembered, beside those that the address names.
const MAX_NODES: usize = 256;

/// Finds the server of one shard.
pub(super) struct Locator {
    place: Arc<Place>,
    slot: u16,
    /// Nodes of the cluster that others have named.
    learned: Mutex<Vec<Host>>,
    /// Who is asked first.
    turn: AtomicUsize,
}

impl Locator {
    /// Contacts nobody yet. `slot` is that of the shard's keys.
    pub(super) fn new(place: Arc<Place>, slot: u16) -> Self {
        Self {
            place,
            slot,
            learned: Mutex::default(),
            turn: AtomicUsize::new(0),
        }
    }

    /// Whether the server may be another one later.
    pub(super) fn is_fixed(&self) -> bool {
        matches!(self.place.way, Way::Fixed)
    }

    /// A client of the server that is the primary of the shard, as far as those who are asked know.
    ///
    /// # Errors
    /// If nobody answers, or those who answer know of no primary.
    pub(super) async fn locate(&self) -> RedisResult<Client> {
        let mut hosts = match &self.place.way {
            Way::Fixed => return self.place.named(),
            Way::Sentinel { sentinels, .. } => sentinels.clone(),
            Way::Cluster { nodes } => nodes.clone(),
        };
        hosts.extend(self.lock().iter().cloned());
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let first = turn % hosts.len();
        hosts.rotate_left(first);
        let mut failed = None;
        for some in hosts.chunks(ASKED_AT_ONCE) {
            let asking = some.iter().map(|host| Box::pin(self.ask(host)));
            match select_ok(asking).await {
                Ok((primary, _)) => return self.place.server_at(&primary),
                Err(error) => failed = Some(error),
            }
        }
        // An address names one host at least.
        Err(failed.expect("somebody was asked"))
    }

    /// Asks one host where the primary is.
    async fn ask(&self, host: &Host) -> RedisResult<Host> {
        match &self.place.way {
            Way::Fixed => Ok(host.clone()),
            Way::Sentinel { name, password, .. } => {
                let client = self.place.sentinel_at(host, password.as_ref())?;
                primary_named(name, &mut connect(&client).await?).await
            }
            Way::Cluster { .. } => {
                let client = self.place.server_at(host)?;
                let ranges = ranges(host, &mut connect(&client).await?).await?;
                let range = ranges.iter().find(|range| range.contains(self.slot));
                let primary = range.map(|range| range.primary.clone());
                self.learn(ranges);
                primary.ok_or_else(|| carry(Unfit::Unserved(self.slot)))
            }
        }
    }

    fn learn(&self, ranges: Vec<Range>) {
        let Way::Cluster { nodes } = &self.place.way else {
            return;
        };
        let hosts = ranges.into_iter().flat_map(|range| range.nodes);
        let mut learned: Vec<Host> = Vec::new();
        for host in hosts {
            if learned.len() < MAX_NODES && !nodes.contains(&host) && !learned.contains(&host) {
                learned.push(host);
            }
        }
        *self.lock() = learned;
    }

    /// No step under the lock can panic half-way through a change.
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Host>> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn connect(client: &Client) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(ANSWERED_WITHIN))
        .set_response_timeout(Some(ANSWERED_WITHIN));
    client
        .get_multiplexed_async_connection_with_config(&config)
        .await
}

/// Asks a sentinel.
async fn primary_named(name: &str, sentinel: &mut MultiplexedConnection) -> RedisResult<Host> {
    let address: Option<(String, u16)> = redis::cmd("SENTINEL")
        .arg("GET-MASTER-ADDR-BY-NAME")
        .arg(name)
        .query_async(sentinel)
        .await?;
    let (host, port) = address.ok_or_else(|| carry(Unfit::UnknownPrimary(name.to_owned())))?;
    Ok(Host { name: host, port })
}

/// Slots that one primary serves.
struct Range {
    first: u16,
    last: u16,
    primary: Host,
    /// The primary and its replicas.
    nodes: Vec<Host>,
}

impl Range {
    fn contains(&self, slot: u16) -> bool {
        (self.first..=self.last).contains(&slot)
    }
}

/// Asks a node of a cluster, which has this address.
async fn ranges(asked: &Host, node: &mut MultiplexedConnection) -> RedisResult<Vec<Range>> {
    let slots: Vec<Vec<Value>> = redis::cmd("CLUSTER").arg("SLOTS").query_async(node).await?;
    slots
        .into_iter()
        .map(|range| read_range(range, asked))
        .collect()
}

/// First slot, last slot, the primary, its replicas
/// ([CLUSTER SLOTS](https://redis.io/docs/latest/commands/cluster-slots/)).
fn read_range(range: Vec<Value>, asked: &Host) -> RedisResult<Range> {
    let mut values = range.into_iter();
    let mut value = || {
        let missing = (
            ErrorKind::UnexpectedReturnType,
            "CLUSTER SLOTS left something out",
        );
        values.next().ok_or(redis::RedisError::from(missing))
    };
    let (first, last) = (
        u16::from_redis_value(value()?)?,
        u16::from_redis_value(value()?)?,
    );
    let primary = read_node(value()?, asked)?;
    let mut nodes = vec![primary.clone()];
    for replica in values {
        nodes.push(read_node(replica, asked)?);
    }
    Ok(Range {
        first,
        last,
        primary,
        nodes,
    })
}

/// A node that does not know its own name is where it was asked.
fn read_node(node: Value, asked: &Host) -> RedisResult<Host> {
    let mut values = Vec::<Value>::from_redis_value(node)?.into_iter();
    let name = values.next().unwrap_or(Value::Nil);
    let name = Option::<String>::from_redis_value(name)?.filter(|name| !name.is_empty());
    let port = values.next().unwrap_or(Value::Nil);
    Ok(Host {
        name: name.unwrap_or_else(|| asked.name.clone()),
        port: u16::from_redis_value(port)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    fn node(name: Value, port: i64) -> Value {
        Value::Array(vec![
            name,
            Value::Int(port),
            text("id"),
            Value::Array(Vec::new()),
        ])
    }

    #[test]
    fn a_range_of_slots_is_read_with_its_nodes() {
        let asked = Host {
            name: "asked".to_owned(),
            port: 1,
        };
        let range = vec![
            Value::Int(0),
            Value::Int(5460),
            node(text("10.0.0.1"), 7000),
            node(Value::Nil, 7001),
            node(text(""), 7002),
        ];
        let range = read_range(range, &asked).unwrap();
        assert!(range.contains(0) && range.contains(5460) && !range.contains(5461));
        let nodes: Vec<String> = range.nodes.iter().map(ToString::to_string).collect();
        assert_eq!(nodes, ["10.0.0.1:7000", "asked:7001", "asked:7002"]);
        assert_eq!(range.primary, range.nodes[0]);
        assert!(read_range(vec![Value::Int(0), Value::Int(1)], &asked).is_err());
    }
}
