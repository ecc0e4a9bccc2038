//! Frames in Redis: events that are pushed together are one element, and everything still counts events.

use event::{
    element,
    frame::{self, FRAME_MAX_EVENTS},
};
use queue::{Holder, PushError};
use redis::{AsyncCommands, aio::MultiplexedConnection};
use runtime::hold::Hold;
use tests::{
    events::{event, events},
    servers,
};

use super::{MAX_LEN, Queue, a_worker, connect, depth};

struct Scene {
    queue: Queue,
    redis: MultiplexedConnection,
    name: String,
}

impl Scene {
    async fn new() -> Self {
        let (url, name) = (servers::redis_url().await, servers::queue_name());
        Self {
            queue: Queue::at(&url, &name),
            redis: connect(&url).await,
            name,
        }
    }

    fn key(&self, key: &str) -> String {
        format!("{{{}}}:{key}", self.name)
    }

    async fn elements(&mut self) -> usize {
        self.redis.llen(self.key("queue")).await.unwrap()
    }

    /// Pushes as a program did that knew no frames, or as somebody else does.
    async fn push_raw(&mut self, elements: &[&[u8]]) {
        let key = self.key("queue");
        let _: () = self.redis.lpush(key, elements).await.unwrap();
    }
}

#[tokio::test]
async fn a_batch_is_as_few_elements_as_it_fits_into() {
    let mut scene = Scene::new().await;
    let batch = events("a", FRAME_MAX_EVENTS + 1);
    scene.queue.pushed(batch.clone()).await;
    assert_eq!(scene.elements().await, 2);
    let claim = scene.queue.claim(a_worker(), 1).await.unwrap();
    assert_eq!(*claim.events, batch[..FRAME_MAX_EVENTS], "a frame is whole");
    assert_eq!(scene.queue.depth().await, depth(1, FRAME_MAX_EVENTS as u64));
}

#[tokio::test]
async fn events_are_counted_exactly_whoever_pushed_them() {
    let mut scene = Scene::new().await;
    let old: Vec<_> = events("old", 3).iter().map(element::alone).collect();
    let old: Vec<&[u8]> = old.iter().map(|element| &element[..]).collect();
    scene.queue.pushed(events("a", 10)).await;
    scene.push_raw(&old).await;
    scene
        .push_raw(&[b"stranger", b"frame/2 events=x", b"frame/2 events=77"])
        .await;
    scene.queue.pushed(events("b", 20)).await;
    assert_eq!(scene.elements().await, 8);
    assert_eq!(scene.queue.depth().await, depth(36, 0));

    let id = a_worker();
    let first = scene.queue.claim(id, 11).await.unwrap();
    assert_eq!(first.len(), 11);
    assert_eq!(scene.queue.depth().await, depth(25, 11));
    let second = scene.queue.claim(id.next(), 6).await.unwrap();
    assert_eq!((second.events.len(), second.malformed.len()), (22, 3));
    assert_eq!(scene.queue.depth().await, depth(0, 36));

    let claims = &scene.queue.claims;
    assert!(claims.release(second.id, Holder::Owner).await.unwrap());
    assert_eq!(scene.queue.depth().await, depth(25, 11));
    scene.queue.settle(&first).await;
    assert_eq!(scene.queue.depth().await, depth(25, 0));
    let again = scene.queue.claim(id.next().next(), 100).await.unwrap();
    assert_eq!(again.events, second.events);
    scene.queue.settle(&again).await;
    assert_eq!(scene.queue.depth().await, depth(0, 0));
}

#[tokio::test]
async fn the_limit_of_the_queue_is_one_of_events() {
    let scene = Scene::new().await;
    let room = usize::try_from(MAX_LEN).unwrap();
    scene.queue.pushed(events("a", room - 5)).await;
    let push = async |count| {
        let batch = events("b", count);
        scene.queue.producer.push(batch, Hold::nothing()).await
    };
    push(5).await.unwrap();
    match push(1).await {
        Err(PushError::Full { len, max }) => assert_eq!((len, max), (MAX_LEN, MAX_LEN)),
        other => panic!("{other:?}"),
    }
    // Another publisher finds out by asking.
    let other = Queue::at(&servers::redis_url().await, &scene.name);
    let pushed = other
        .producer
        .push(events("c", room), Hold::nothing())
        .await;
    assert!(pushed.is_ok(), "it has not heard of any length yet");
    let pushed = other.producer.push(events("d", 1), Hold::nothing()).await;
    assert!(matches!(pushed, Err(PushError::Full { len, .. }) if len == 2 * MAX_LEN));
}

#[tokio::test]
async fn a_frame_that_a_stranger_pushed_twice_spoils_no_count_for_long() {
    let mut scene = Scene::new().await;
    let frame = frame::write(&events("a", 50)).remove(0).element;
    scene.push_raw(&[&frame, &frame]).await;
    scene.queue.pushed(events("b", 10)).await;
    let claim = scene.queue.claim(a_worker(), 1000).await.unwrap();
    assert_eq!(claim.events.len(), 110);
    assert_eq!(scene.queue.depth().await, depth(0, 110));
    scene.queue.settle(&claim).await;
    scene.queue.pushed(events("c", 10)).await;
    assert_eq!(
        scene.queue.depth().await,
        depth(10, 0),
        "from an empty queue on"
    );
}

#[tokio::test]
async fn a_claim_of_a_program_that_knew_no_frames_is_counted_by_its_elements() {
    let mut scene = Scene::new().await;
    let id = a_worker();
    let (claim, leases) = (scene.key(&format!("claim:{id}")), scene.key("leases"));
    let elements: Vec<_> = events("a", 3).iter().map(element::alone).collect();
    let _: () = scene.redis.lpush(claim, &elements).await.unwrap();
    let _: () = scene.redis.zadd(leases, id.to_string(), 1).await.unwrap();
    assert_eq!(scene.queue.depth().await, depth(0, 3));
    let adopted = scene.queue.claims.adopt().await.unwrap().unwrap();
    assert_eq!((adopted.id, adopted.events.len()), (id, 3));
    scene.queue.settle(&adopted).await;
    assert_eq!(scene.queue.depth().await, depth(0, 0));
}

#[tokio::test]
async fn what_is_pushed_at_the_same_time_shares_a_frame() {
    let mut scene = Scene::new().await;
    let pushes = (0..200).map(|n| {
        let producer = scene.queue.producer.clone();
        tokio::spawn(async move {
            let batch = vec![event("a", &n.to_string())];
            producer.push(batch, Hold::nothing()).await
        })
    });
    let pushes: Vec<_> = pushes.collect();
    for push in pushes {
        push.await.unwrap().unwrap();
    }
    let elements = scene.elements().await;
    assert!(elements < 100, "{elements} elements");
    assert_eq!(scene.queue.depth().await, depth(200, 0));
}

#[tokio::test]
async fn a_frame_can_be_read_by_people() {
    let mut scene = Scene::new().await;
    scene.queue.pushed(events("a", 7)).await;
    let element: Vec<u8> = scene.redis.lindex(scene.key("queue"), 0).await.unwrap();
    let line = element.split(|byte| *byte == b'\n').next().unwrap();
    let line = str::from_utf8(line).unwrap();
    assert!(line.starts_with("frame/2 events=7 accepted=20"), "{line}");
    assert_eq!(element::open(element).events.len(), 7);
}
