//! Topics: names, partitions, configuration; duplicates; what is known to Kafka and not built is refused by name.

use std::collections::HashMap;

use caudal_proto::v1::{
    AddPartitionsRequest, AlterTopicsRequest, ConfigSource, CreateTopicsRequest, DeleteTopicsRequest,
    DescribeTopicsRequest, GetMetadataRequest, ListTopicsRequest, NewTopic, Reason, TopicAlteration,
};

use crate::api::{Stage, named, reason};

#[tokio::test]
async fn names_that_cannot_be() {
    let stage = Stage::new().await;
    let long = "x".repeat(250);
    for name in ["", ".", "..", "a/b", "../up", "nul\0", "ä", "with space", "__mine", "a:b", &long] {
        let result = stage.api.try_create(name, Some(1), &[]).await;
        assert_eq!(reason(&result.error), Reason::InvalidTopicName, "{name:?}");
    }
    for name in ["a", "A.b_c-9", "...", &long[..249]] {
        stage.api.create(name, 1, &[]).await;
    }
}

#[tokio::test]
async fn numbers_of_partitions_and_replicas_that_cannot_be() {
    let stage = Stage::new().await;
    for partitions in [0, -1, 10_001, 1_000_000, i32::MIN, i32::MAX] {
        let result = stage.api.try_create("t", Some(partitions), &[]).await;
        assert_eq!(reason(&result.error), Reason::InvalidPartitions, "{partitions}");
    }
    for replicas in [0, -1, 2, 3, 4, 6, i32::MAX] {
        let topic = NewTopic { name: "t".to_owned(), replicas: Some(replicas), ..Default::default() };
        let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
        let result =
            stage.api.topics.clone().create_topics(request).await.unwrap().into_inner().results.remove(0);
        assert_eq!(reason(&result.error), Reason::InvalidReplicas, "{replicas}");
    }
    let absent = stage.api.try_create("t", None, &[]).await;
    assert_eq!((reason(&absent.error), absent.partitions, absent.replicas), (Reason::Unspecified, 1, 1));
}

#[tokio::test]
async fn configuration_that_cannot_be() {
    let stage = Stage::new().await;
    let cases = [
        ("retention.msec", "1", Reason::UnknownConfig),
        ("retention.ms", "soon", Reason::InvalidConfigValue),
        ("retention.ms", "-2", Reason::InvalidConfigValue),
        ("segment.bytes", "1", Reason::InvalidConfigValue),
        ("max.message.bytes", "99999999999", Reason::InvalidConfigValue),
        ("durability", "perhaps", Reason::InvalidConfigValue),
        ("cleanup.policy", "compact", Reason::UnsupportedConfig),
        ("message.timestamp.type", "LogAppendTime", Reason::UnsupportedConfig),
    ];
    for (key, value, wanted) in cases {
        let result = stage.api.try_create("t", Some(1), &[(key, value)]).await;
        let error = result.error.unwrap_or_else(|| panic!("{key}={value}"));
        assert_eq!(error.reason(), wanted, "{key}={value}: {}", error.message);
        assert!(error.message.contains(key), "{}", error.message);
    }
    let hint = stage.api.try_create("t", Some(1), &[("retention.msec", "1")]).await.error.unwrap();
    assert!(hint.message.contains("retention.ms"), "the nearest known key: {}", hint.message);
    stage.api.create("t", 1, &[("cleanup.policy", "delete"), ("retention.ms", "1000")]).await;
}

#[tokio::test]
async fn duplicates_and_their_idempotent_form() {
    let stage = Stage::new().await;
    let id = stage.api.create("t", 2, &[]).await;
    assert_eq!(reason(&stage.api.try_create("t", Some(2), &[]).await.error), Reason::TopicExists);
    let create = async |names: &[&str], if_not_exists: bool, validate_only: bool| {
        let topics = names.iter().map(|n| NewTopic { name: (*n).to_owned(), ..Default::default() }).collect();
        let request = CreateTopicsRequest { topics, validate_only, if_not_exists };
        stage.api.topics.clone().create_topics(request).await.unwrap().into_inner().results
    };
    let again = create(&["t", "new"], true, false).await;
    assert_eq!((again[0].topic_id.to_vec(), again[0].existed, again[0].partitions), (id, true, 2));
    assert_eq!((reason(&again[0].error), again[1].existed), (Reason::Unspecified, false));
    let twice = create(&["u", "u"], false, false).await;
    let reasons: Vec<Reason> = twice.iter().map(|r| reason(&r.error)).collect();
    assert!(
        reasons.contains(&Reason::TopicExists) || reasons.contains(&Reason::InvalidArgument),
        "{reasons:?}"
    );
    assert_eq!(reason(&create(&["dry"], false, true).await[0].error), Reason::Unspecified);
    assert_eq!(
        reason(&create(&["dry"], false, false).await[0].error),
        Reason::Unspecified,
        "it was only checked"
    );
}

#[tokio::test]
async fn topics_survive_crashes_with_their_ids_and_configuration() {
    let mut stage = Stage::new().await;
    let id = stage.api.create("t", 3, &[("retention.ms", "5000")]).await;
    let request = AddPartitionsRequest { name: "t".to_owned(), count: 2, validate_only: false };
    assert_eq!(stage.api.topics.clone().add_partitions(request).await.unwrap().into_inner().partitions, 5);
    let alteration = TopicAlteration {
        name: "t".to_owned(),
        set: HashMap::from([("max.message.bytes".to_owned(), "2000".to_owned())]),
        unset: vec!["retention.ms".to_owned()],
    };
    let request = AlterTopicsRequest { topics: vec![alteration], validate_only: false };
    let altered =
        stage.api.topics.clone().alter_topics(request).await.unwrap().into_inner().results.remove(0);
    assert_eq!((altered.error, altered.changes.len()), (None, 2));
    stage.api.create("gone", 1, &[]).await;
    let request =
        DeleteTopicsRequest { names: vec!["gone".to_owned(), "never".to_owned()], validate_only: false };
    let deleted = stage.api.topics.clone().delete_topics(request).await.unwrap().into_inner().results;
    assert_eq!(
        [reason(&deleted[0].error), reason(&deleted[1].error)],
        [Reason::Unspecified, Reason::UnknownTopic]
    );
    for _ in 0..2 {
        stage.crash().await;
        let listed =
            stage.api.topics.clone().list_topics(ListTopicsRequest::default()).await.unwrap().into_inner();
        let names: Vec<&str> = listed.topics.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names, ["t"]);
        let request = DescribeTopicsRequest { names: vec!["t".to_owned()] };
        let topic =
            stage.api.topics.clone().describe_topics(request).await.unwrap().into_inner().topics.remove(0);
        assert_eq!((topic.topic_id.to_vec(), topic.partitions.len()), (id.clone(), 5));
        let config = |key: &str| {
            let entry =
                topic.configs.iter().find(|c| c.key == key).unwrap_or_else(|| panic!("{key} is described"));
            (entry.value.clone(), entry.source())
        };
        assert_eq!(config("max.message.bytes"), ("2000".to_owned(), ConfigSource::Topic));
        assert_eq!(
            config("retention.ms").0,
            (7 * 24 * 60 * 60 * 1000_i64).to_string(),
            "back to its default"
        );
        assert_ne!(config("retention.ms").1, ConfigSource::Topic);
    }
}

#[tokio::test]
async fn the_metadata_names_who_leads_what() {
    let stage = Stage::new().await;
    let id = stage.api.create("t", 3, &[]).await;
    let request = GetMetadataRequest { topics: vec![named("t"), named("nowhere")] };
    let answer = stage.api.metadata.clone().get_metadata(request).await.unwrap().into_inner();
    assert_eq!(answer.brokers.len(), 1);
    assert_eq!(answer.brokers[0].address, stage.broker.address());
    assert_eq!(Some(answer.node_id.to_string().as_str()), stage.broker.ready("node"));
    assert_eq!(Some(answer.cluster_id.as_str()), stage.broker.ready("cluster"));
    assert_eq!((answer.topics[0].topic_id.to_vec(), answer.topics[0].partitions.len()), (id, 3));
    for partition in &answer.topics[0].partitions {
        assert_eq!(partition.leader_node, Some(answer.node_id));
        assert!(partition.shard < answer.brokers[0].shards);
    }
    assert_eq!(reason(&answer.topics[1].error), Reason::UnknownTopic);
}

#[tokio::test]
async fn the_brokers_own_topics_are_listed_only_when_asked_for_and_never_touched() {
    let stage = Stage::new().await;
    let list = async |internal: bool| {
        let answer =
            stage.api.topics.clone().list_topics(ListTopicsRequest { internal }).await.unwrap().into_inner();
        answer.topics.into_iter().map(|t| t.name).collect::<Vec<String>>()
    };
    assert!(list(false).await.is_empty());
    let internal = list(true).await;
    assert!(internal.iter().any(|name| name == "__control"), "{internal:?}");
    let request = DeleteTopicsRequest { names: vec!["__control".to_owned()], validate_only: false };
    let deleted =
        stage.api.topics.clone().delete_topics(request).await.unwrap().into_inner().results.remove(0);
    assert_eq!(reason(&deleted.error), Reason::InternalTopic);
}
