//! Admin and the client: answers, errors, fail-over.

use std::error::Error as _;
use std::time::Duration;

use caudal_client::{
    Client, ClientConfig, ConfigSource, CreateOptions, ErrorKind, NewTopic, OffsetSpec, Reason,
    TopicAlteration, TrimBefore,
};
use tokio::net::TcpListener;
use tonic::{Code, Status};

use crate::fake::{Cluster, batch, soon, status};

#[tokio::test]
async fn topics_live_and_die() {
    let cluster = Cluster::start(1).await;
    let admin = cluster.client().await.admin();
    let topic = || NewTopic::new("t").partitions(3).replicas(1).config("retention.ms", "1000");
    let created = admin.create_topic(topic()).await.unwrap();
    assert_eq!((created.name.as_str(), created.partitions, created.existed), ("t", 3, false));
    let id = created.id.unwrap();

    let error = admin.create_topic(topic()).await.unwrap_err();
    assert_eq!((error.kind(), error.reason()), (ErrorKind::Exists, Some(Reason::TopicExists)));
    let options = CreateOptions { if_not_exists: true, ..CreateOptions::default() };
    let each = admin.create_topics(vec![topic(), NewTopic::new("u")], options).await.unwrap();
    assert!(each[0].1.as_ref().unwrap().existed);
    assert!(!each[1].1.as_ref().unwrap().existed);

    let names: Vec<String> = admin.list_topics(false).await.unwrap().into_iter().map(|t| t.name).collect();
    assert_eq!(names, ["t", "u"]);
    assert_eq!(admin.partitions("t").await.unwrap(), [0, 1, 2]);
    let described = admin.describe_topics(&["t", "nope"]).await.unwrap();
    let description = described[0].1.as_ref().unwrap();
    assert_eq!((description.id, description.configs[0].source), (id, ConfigSource::Default));
    assert_eq!(described[1].1.as_ref().unwrap_err().kind(), ErrorKind::NotFound);

    let alteration =
        TopicAlteration { name: "t".into(), set: [("a".into(), "b".into())].into(), unset: Vec::new() };
    let altered = admin.alter_topics(vec![alteration], false).await.unwrap();
    let change = &altered[0].1.as_ref().unwrap()[0];
    assert_eq!((change.key.as_str(), change.before.as_str(), change.after.as_str()), ("a", "old", "b"));
    assert_eq!(admin.add_partitions("t", 2, false).await.unwrap(), 3);

    let deleted = admin.delete_topics(&["u", "nope"], false).await.unwrap();
    assert_eq!(deleted[0].1.as_ref().unwrap().partitions, 1);
    assert_eq!(deleted[1].1.as_ref().unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn offsets_are_asked_of_each_leader() {
    let cluster = Cluster::start(3).await;
    cluster.topic("t", 3);
    for (partition, node) in [(0, 0), (1, 1), (2, 2)] {
        cluster.move_leader("t", partition, node);
        for _ in 0..=partition {
            cluster.append("t", partition, &batch(&["a", "b"], caudal_client::Codec::None));
        }
    }
    let admin = cluster.client().await.admin();
    let ends = admin.list_offsets("t", &[2, 0, 1], OffsetSpec::End).await.unwrap();
    let ends: Vec<_> = ends.into_iter().map(|(p, offset)| (p, offset.unwrap().offset)).collect();
    assert_eq!(ends, [(2, Some(6)), (0, Some(2)), (1, Some(4))]);
    let trimmed = admin.trim_topic("t", None, TrimBefore::Offset(1), false).await.unwrap();
    assert_eq!((trimmed.len(), trimmed[1].1.as_ref().unwrap().log_start_after), (3, 1));
    let starts = admin.list_offsets("t", &[0, 7], OffsetSpec::Start).await.unwrap();
    assert_eq!(starts[0].1.as_ref().unwrap().offset, Some(1));
    assert_eq!(starts[1].1.as_ref().unwrap_err().kind(), ErrorKind::NotFound);
    let late = admin.list_offsets("t", &[0], OffsetSpec::TimestampMs(i64::MAX)).await.unwrap();
    assert_eq!(late[0].1.as_ref().unwrap().offset, None);
    let error = admin.list_offsets("nope", &[0], OffsetSpec::End).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn busy_brokers_are_asked_again_and_refusals_are_not() {
    let cluster = Cluster::start(1).await;
    let admin = cluster.client().await.admin();
    let busy = || status(Code::Unavailable, Reason::LeaderNotReady, "no leader yet");
    cluster.lock().refuse_calls.extend([busy(), busy()]);
    soon("a topic", admin.create_topic(NewTopic::new("t"))).await.unwrap();
    assert_eq!(cluster.lock().topic_calls.len(), 3);

    let full = status(Code::InvalidArgument, Reason::InvalidPartitions, "7 partitions: too many");
    cluster.lock().refuse_calls.push_back(full);
    let error = admin.create_topic(NewTopic::new("u")).await.unwrap_err();
    assert_eq!((error.kind(), error.reason()), (ErrorKind::Invalid, Some(Reason::InvalidPartitions)));
    assert_eq!((error.message(), error.metadata()["limit"].as_str()), ("7 partitions: too many", "7"));
    assert!(error.source().is_some() && !error.is_retriable());
}

#[tokio::test]
async fn a_change_that_may_have_happened_is_not_made_again() {
    let cluster = Cluster::start(1).await;
    let admin = cluster.client().await.admin();
    cluster.lock().refuse_calls.push_back(Status::unavailable("connection reset"));
    let error = admin.create_topic(NewTopic::new("t")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownOutcome);
    assert_eq!(cluster.lock().topic_calls, ["create"]);
}

#[tokio::test]
async fn any_broker_of_the_list_is_enough() {
    let cluster = Cluster::start(2).await;
    // A port that nobody listens on: bound, then freed.
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let alive = cluster.lock().addresses[1].clone();
    let client = Client::connect(&format!("{dead}, {alive}")).await.unwrap();
    let description = client.admin().describe_cluster().await.unwrap();
    assert_eq!((description.cluster_id.as_str(), description.brokers.len()), ("fake", 2));

    let connect = Client::connect(&dead.to_string()).await;
    let error = connect.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.message().contains(&dead.to_string()) && error.is_retriable(), "{error}");
}

#[tokio::test]
async fn addresses_and_limits_are_checked() {
    for wrong in ["", " , ", "nowhere", "http://x:1", "a b:1"] {
        let error = Client::connect(wrong).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{wrong:?}: {error}");
    }
    let cluster = Cluster::start(1).await;
    let client = cluster.client().await;
    let kind = |error: caudal_client::Error| error.kind();
    assert_eq!(
        client.producer().batch_bytes(10).build().await.map(drop).map_err(kind),
        Err(ErrorKind::Invalid)
    );
    assert_eq!(
        client.producer().buffer_bytes(10).build().await.map(drop).map_err(kind),
        Err(ErrorKind::Invalid)
    );
    assert_eq!(client.producer().in_flight(6).build().await.map(drop).map_err(kind), Err(ErrorKind::Invalid));
    assert_eq!(
        client.consumer().buffer_bytes(10).build().await.map(drop).map_err(kind),
        Err(ErrorKind::Invalid)
    );
}

#[tokio::test]
async fn a_broker_that_says_nothing_is_given_up_in_time() {
    // It takes connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = ClientConfig {
        request_timeout: Duration::from_millis(300),
        ..ClientConfig::new(&silent.local_addr().unwrap().to_string())
    };
    let error = soon("a time limit", Client::with_config(config)).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    assert!(error.is_retriable());
}

#[tokio::test]
async fn a_silent_broker_leaves_time_for_the_others() {
    let cluster = Cluster::start(1).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let brokers = format!("{},{}", silent.local_addr().unwrap(), cluster.lock().addresses[0]);
    let config = ClientConfig { request_timeout: Duration::from_secs(2), ..ClientConfig::new(&brokers) };
    let client = soon("the other broker", Client::with_config(config)).await.unwrap();
    assert_eq!(client.admin().describe_cluster().await.unwrap().node_id, 0);
}

#[tokio::test]
async fn a_change_that_was_never_sent_is_unreachable_and_not_unknown() {
    // A cluster in a runtime of its own, which ends with its connections.
    let (told, address) = tokio::sync::oneshot::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let cluster = Cluster::start(1).await;
            told.send(cluster.lock().addresses[0].clone()).unwrap();
            let _ = stopped.await;
        });
    });
    let admin = Client::connect(&address.await.unwrap()).await.unwrap().admin();
    drop(stop);
    thread.join().unwrap();
    let closed = async {
        loop {
            let error = admin.create_topic(NewTopic::new("t")).await.unwrap_err();
            // The first call may still meet the connection as it breaks.
            if error.kind() != ErrorKind::UnknownOutcome {
                break error;
            }
        }
    };
    assert_eq!(soon("an error", closed).await.kind(), ErrorKind::Unreachable);
}

#[test]
fn what_tasks_share_may_go_between_threads() {
    fn sends<T: Send + 'static>(_: &T) {}
    fn shares<T: Send + Sync + 'static>() {}
    shares::<Client>();
    shares::<caudal_client::Admin>();
    shares::<caudal_client::Producer>();
    shares::<caudal_client::Error>();
    let _task = |producer: caudal_client::Producer, mut consumer: caudal_client::Consumer| {
        sends(&async move {
            let _ = producer.send(caudal_client::NewRecord::to("t")).await;
            let _ = producer.flush().await;
            let _ = producer.close().await;
            let _ = consumer.next().await;
            let _ = consumer.next_batch().await;
        });
    };
}
