//! A DNS server with answers set by the test, over UDP and TCP.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

/// Most bytes of an answer over UDP without extensions.
const DATAGRAM: usize = 512;

/// How the server behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mood {
    #[default]
    Answers,
    /// SERVFAIL to everything.
    Fails,
}

/// A host and its port.
type Service = (String, u16);

#[derive(Debug, Default)]
struct Zone {
    addresses: HashMap<String, Vec<IpAddr>>,
    services: HashMap<String, Vec<Service>>,
    ttl: u32,
    mood: Mood,
    asked: Vec<(String, RecordType)>,
    over_tcp: usize,
}

/// Runs until it is dropped.
#[derive(Debug)]
pub(crate) struct DnsServer {
    zone: Arc<Mutex<Zone>>,
    pub(crate) address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl DnsServer {
    /// A server on a free port of loopback without any names; its records live for `ttl` seconds.
    pub(crate) async fn start(ttl: u32) -> Self {
        let zone = Arc::new(Mutex::new(Zone {
            ttl,
            ..Zone::default()
        }));
        let (udp, tcp) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
            // The same port may be taken for UDP.
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(datagrams(udp, Arc::clone(&zone)));
        tasks.spawn(streams(tcp, Arc::clone(&zone)));
        Self {
            zone,
            address,
            _tasks: tasks,
        }
    }

    fn change(&self, change: impl FnOnce(&mut Zone)) {
        change(&mut self.zone.lock().unwrap());
    }

    /// Sets the addresses of a name; without any, the name does not exist, as for a Service without
    /// ready pods.
    pub(crate) fn set(&self, name: &str, addresses: &[IpAddr]) {
        self.change(|zone| {
            if addresses.is_empty() {
                zone.addresses.remove(name);
            } else {
                zone.addresses.insert(name.to_owned(), addresses.to_vec());
            }
        });
    }

    /// Sets the SRV records of a name: hosts and ports.
    pub(crate) fn set_services(&self, name: &str, services: &[(&str, u16)]) {
        let services = services
            .iter()
            .map(|(host, port)| ((*host).to_owned(), *port));
        let services: Vec<Service> = services.collect();
        self.change(|zone| {
            if services.is_empty() {
                zone.services.remove(name);
            } else {
                zone.services.insert(name.to_owned(), services);
            }
        });
    }

    pub(crate) fn set_mood(&self, mood: Mood) {
        self.change(|zone| zone.mood = mood);
    }

    /// The queries so far, in order.
    pub(crate) fn asked(&self) -> Vec<(String, RecordType)> {
        self.zone.lock().unwrap().asked.clone()
    }

    /// The number of queries over TCP.
    pub(crate) fn over_tcp(&self) -> usize {
        self.zone.lock().unwrap().over_tcp
    }
}

impl Zone {
    fn answer(&mut self, query: &[u8]) -> Message {
        let query = Message::from_vec(query).unwrap();
        let question = query.queries[0].clone();
        let name = question.name().to_ascii();
        self.asked.push((name.clone(), question.query_type()));
        let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
        answer.metadata.recursion_available = true;
        answer.metadata.recursion_desired = true;
        answer.add_query(question.clone());
        if self.mood == Mood::Fails {
            answer.metadata.response_code = ResponseCode::ServFail;
            return answer;
        }
        let known = self.addresses.contains_key(&name) || self.services.contains_key(&name);
        if !known {
            answer.metadata.response_code = ResponseCode::NXDomain;
        }
        let record = |data| Record::from_rdata(question.name().clone(), self.ttl, data);
        for ip in self.addresses.get(&name).into_iter().flatten() {
            let wanted = if ip.is_ipv4() {
                RecordType::A
            } else {
                RecordType::AAAA
            };
            if question.query_type() == wanted {
                answer.add_answer(record(RData::from(*ip)));
            }
        }
        for (host, port) in self.services.get(&name).into_iter().flatten() {
            if question.query_type() == RecordType::SRV {
                let host = Name::from_ascii(host).unwrap();
                answer.add_answer(record(RData::SRV(SRV::new(0, 100, *port, host))));
            }
        }
        answer
    }
}

async fn datagrams(socket: UdpSocket, zone: Arc<Mutex<Zone>>) {
    let mut query = [0; 4096];
    loop {
        let (length, from) = socket.recv_from(&mut query).await.unwrap();
        let mut answer = zone.lock().unwrap().answer(&query[..length]);
        if answer.to_vec().unwrap().len() > DATAGRAM {
            answer = answer.truncate();
        }
        let bytes = answer.to_vec().unwrap();
        socket.send_to(&bytes, from).await.unwrap();
    }
}

async fn streams(listener: TcpListener, zone: Arc<Mutex<Zone>>) {
    let mut open = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        open.spawn(stream_of_questions(stream, Arc::clone(&zone)));
    }
}

async fn stream_of_questions(mut stream: TcpStream, zone: Arc<Mutex<Zone>>) {
    while let Ok(length) = stream.read_u16().await {
        let mut query = vec![0; usize::from(length)];
        stream.read_exact(&mut query).await.unwrap();
        let answer = {
            let mut zone = zone.lock().unwrap();
            zone.over_tcp += 1;
            zone.answer(&query).to_vec().unwrap()
        };
        stream
            .write_u16(u16::try_from(answer.len()).unwrap())
            .await
            .unwrap();
        stream.write_all(&answer).await.unwrap();
    }
}
