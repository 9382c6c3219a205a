//! Kafka: clients of librdkafka, its errors in our terms, and what brokers say of topics, offsets and groups.

mod client;
mod cluster;
mod offsets;
mod producer;
mod topic_settings;

pub use client::{KafkaContext, client_config, code_error, kafka_error};
pub use cluster::{Cluster, Topic, is_compacted, topics};
pub use offsets::watermarks;
pub use producer::{OutgoingRecord, Producer, Sending};
pub use topic_settings::{TopicSettings, topic_settings};
