//! A broker led by hand, one connection at a time: it says what a broker would not.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use caudal_proto::peer::{Class, Envelope, Hello, HelloAnswer, Purpose};
use prost::Message as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use uuid::Uuid;

use super::rig::{CLUSTER, LONG, uuid_of};
use crate::runtime::peers::PROTOCOL;
use crate::runtime::peers::frame;

fn bytes_of(uuid: Uuid) -> Bytes {
    Bytes::copy_from_slice(uuid.as_bytes())
}

/// The hello of a broker of the cluster.
pub(super) fn hello(node: i32, boot: u128, class: Class) -> Hello {
    Hello {
        protocol: PROTOCOL,
        cluster_id: bytes_of(CLUSTER),
        node_uuid: bytes_of(uuid_of(node)),
        node_id: node,
        boot_id: bytes_of(Uuid::from_u128(boot)),
        level: 1,
        purpose: Purpose::Messages.into(),
        class: class.into(),
        peer_address: format!("127.0.0.1:{node}"),
    }
}

/// One end of a connection.
pub(super) struct Puppet(pub(super) TcpStream);

impl Puppet {
    pub(super) async fn connect(to: SocketAddr) -> Puppet {
        Puppet(TcpStream::connect(to).await.unwrap())
    }

    /// Connects and says hello; what the other side says against it, if anything.
    pub(super) async fn greet(to: SocketAddr, hello: &Hello) -> (Puppet, Option<String>) {
        let mut puppet = Puppet::connect(to).await;
        puppet.say(hello).await;
        let answer: HelloAnswer = puppet.hear().await;
        (puppet, Some(answer.refused).filter(|why| !why.is_empty()))
    }

    /// A connection that is taken.
    pub(super) async fn admitted(to: SocketAddr, hello: &Hello) -> Puppet {
        let (puppet, refused) = Puppet::greet(to, hello).await;
        assert_eq!(refused, None);
        puppet
    }

    /// Takes the next connection to a listener; answers its hello as the one given. With what for it came.
    pub(super) async fn answer(listener: &TcpListener, hello: &Hello) -> (Puppet, Class) {
        let mut puppet = Puppet(timeout(LONG, listener.accept()).await.unwrap().unwrap().0);
        let theirs: Hello = puppet.hear().await;
        puppet.say(&HelloAnswer { hello: Some(hello.clone()), refused: String::new(), twin: false }).await;
        (puppet, theirs.class())
    }

    pub(super) async fn say<M: prost::Message>(&mut self, message: &M) {
        frame::write(&mut self.0, message, &mut BytesMut::new()).await.unwrap();
    }

    pub(super) async fn say_raw(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    pub(super) async fn hear<M: prost::Message + Default>(&mut self) -> M {
        let heard = async {
            let length = self.0.read_u32().await.unwrap();
            let mut frame = vec![0; length as usize];
            self.0.read_exact(&mut frame).await.unwrap();
            M::decode(&frame[..]).unwrap()
        };
        timeout(LONG, heard).await.unwrap()
    }

    /// The next envelope that is not empty.
    pub(super) async fn envelope(&mut self) -> Envelope {
        loop {
            let envelope: Envelope = self.hear().await;
            if envelope.encoded_len() > 0 {
                return envelope;
            }
        }
    }

    /// Waits until the other side closes the connection.
    pub(super) async fn closed(&mut self) {
        let mut rest = [0; 1024];
        let end = async { while matches!(self.0.read(&mut rest).await, Ok(read) if read > 0) {} };
        timeout(LONG, end).await.expect("the connection stays open");
    }

    /// Says that it lives until it is dropped.
    pub(super) async fn live(mut self) {
        loop {
            if frame::write(&mut self.0, &Envelope::default(), &mut BytesMut::new()).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
