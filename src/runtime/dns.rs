//! The only DNS resolver: the addresses behind a name, and how long the answer is good.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use tokio::time::timeout;

/// The time for one question, with every attempt and every name of the search list.
pub const LIMIT: Duration = Duration::from_secs(15);
/// The time for one packet to be answered.
const PATIENCE: Duration = Duration::from_secs(3);
/// Most targets of one SRV answer that are looked up.
const MOST_SERVICES: usize = 1000;

/// A name is asked for at most this often, however short its records live; less often when `refresh` is shorter.
const LEAST: Duration = Duration::from_secs(5);

/// The time until a name is asked for again: as long as its records live, at most `refresh`, and at least 5 s.
#[must_use]
pub fn pause(ttl: Option<Duration>, refresh: Duration) -> Duration {
    ttl.unwrap_or(refresh).min(refresh).max(LEAST.min(refresh))
}

/// Which records are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Record {
    /// A and AAAA.
    #[default]
    Address,
    /// IPv4 addresses only.
    A,
    /// IPv6 addresses only.
    Aaaa,
    /// Services: names with ports, each of which is looked up again.
    Srv,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Question {
    /// The name; without a final dot it is looked for in the search list too, as `/etc/resolv.conf` says.
    pub host: String,
    /// Joined to every address; SRV records bring their own.
    pub port: u16,
    /// Which records.
    pub record: Record,
    /// The server to ask instead of those in `/etc/resolv.conf`.
    pub server: Option<SocketAddr>,
}

impl fmt::Display for Question {
    /// `fraud-headless.ml.svc:8000`, or the bare name for SRV.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.record {
            Record::Srv => f.write_str(&self.host),
            Record::Address | Record::A | Record::Aaaa => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// The addresses behind a name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// Sorted, each once; empty when the name has none, or does not exist: what a Kubernetes Service without ready pods looks like.
    pub addresses: Vec<SocketAddr>,
    /// How long the records say that they are good; `None` when there are none.
    pub ttl: Option<Duration>,
}

/// A question without an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the name {name} cannot be looked up: {why}")]
pub struct Error {
    /// What was asked.
    pub name: String,
    /// What happened.
    pub why: String,
}

/// Something that knows names.
pub trait Resolve: Send + Sync + fmt::Debug {
    /// The addresses of a name.
    ///
    /// # Errors
    /// When no server gave an answer. A name without addresses is an answer.
    fn resolve<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Result<Answer, Error>>;
}

/// The servers of `/etc/resolv.conf`, read again for every question, and `/etc/hosts`. Nothing is cached: the caller decides when.
#[derive(Debug, Clone, Copy, Default)]
pub struct Resolver;

impl Resolve for Resolver {
    fn resolve<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Result<Answer, Error>> {
        Box::pin(async move {
            let failed = |why: String| Error {
                name: question.to_string(),
                why,
            };
            let answer = timeout(LIMIT, ask(question)).await;
            answer
                .unwrap_or_else(|_| Err(format!("no answer within {} s", LIMIT.as_secs())))
                .map_err(failed)
        })
    }
}

/// What one lookup found: records of some names in the order of the search list, or none.
#[derive(Debug, Default)]
struct Found {
    records: Vec<RData>,
    ttl: Option<Duration>,
}

impl Found {
    fn shorten(&mut self, ttl: Option<Duration>) {
        self.ttl = match (self.ttl, ttl) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
}

async fn ask(question: &Question) -> Result<Answer, String> {
    if let Ok(ip) = question.host.parse::<IpAddr>() {
        return Ok(Answer {
            addresses: vec![SocketAddr::new(ip, question.port)],
            ttl: None,
        });
    }
    let (config, options) = configuration(question.server)?;
    let names = candidates(&question.host, config.search(), options.ndots)?;
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    *builder.options_mut() = options;
    let resolver = builder.build().map_err(|error| error.to_string())?;
    let types: &[RecordType] = match question.record {
        Record::Address => &[RecordType::A, RecordType::AAAA],
        Record::A => &[RecordType::A],
        Record::Aaaa => &[RecordType::AAAA],
        Record::Srv => &[RecordType::SRV],
    };
    let found = search(&resolver, &names, types).await?;
    if question.record == Record::Srv {
        return services(&resolver, found).await;
    }
    let addresses: BTreeSet<SocketAddr> = found
        .records
        .iter()
        .filter_map(RData::ip_addr)
        .map(|ip| SocketAddr::new(ip, question.port))
        .collect();
    Ok(Answer {
        addresses: addresses.into_iter().collect(),
        ttl: found.ttl,
    })
}

fn configuration(server: Option<SocketAddr>) -> Result<(ResolverConfig, ResolverOpts), String> {
    let system = read_system_conf();
    let (mut config, mut options) = match (system, server) {
        (Ok(system), _) => system,
        // Without the file there is no search list, but a server all the same.
        (Err(_), Some(_)) => (
            ResolverConfig::from_parts(None, Vec::new(), Vec::new()),
            ResolverOpts::default(),
        ),
        (Err(error), None) => return Err(format!("/etc/resolv.conf: {error}")),
    };
    if let Some(server) = server {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut way| {
            way.port = server.port();
            way
        });
        let server = NameServerConfig::new(server.ip(), true, connections.to_vec());
        config = ResolverConfig::from_parts(None, config.search().to_vec(), vec![server]);
    }
    options.timeout = options.timeout.min(PATIENCE);
    options.cache_size = 0;
    Ok((config, options))
}

/// The names to try, in order, as every resolver has it: a name with at least `ndots` dots first as it is, others last.
fn candidates(host: &str, search: &[Name], ndots: usize) -> Result<Vec<Name>, String> {
    let mut name = Name::from_utf8(host).map_err(|error| format!("not a DNS name: {error}"))?;
    if name.is_fqdn() {
        return Ok(vec![name]);
    }
    let dots = usize::from(name.num_labels()).saturating_sub(1);
    let joined = search
        .iter()
        .filter_map(|domain| name.clone().append_domain(domain).ok());
    let mut names: Vec<Name> = joined.collect();
    name.set_fqdn(true);
    let place = if dots >= ndots { 0 } else { names.len() };
    names.insert(place, name);
    for name in &mut names {
        name.set_fqdn(true);
    }
    Ok(names)
}

/// The records of the first name that has any; none when every name was answered with "no such name" or "no such records".
async fn search(
    resolver: &TokioResolver,
    names: &[Name],
    types: &[RecordType],
) -> Result<Found, String> {
    let mut failure = None;
    for name in names {
        match of_name(resolver, name, types).await {
            Ok(found) if !found.records.is_empty() => return Ok(found),
            Ok(_) => {}
            Err(error) => failure = Some(format!("{name}: {error}")),
        }
    }
    failure.map_or_else(|| Ok(Found::default()), Err)
}

/// The records of one name; a type that fails does not matter when another has records.
async fn of_name(
    resolver: &TokioResolver,
    name: &Name,
    types: &[RecordType],
) -> Result<Found, NetError> {
    let asked = types
        .iter()
        .map(|kind| resolver.lookup(name.clone(), *kind));
    let mut found = Found::default();
    let mut failure = None;
    for result in join_all(asked).await {
        match result {
            Ok(lookup) => {
                for record in lookup.answers() {
                    if types.contains(&record.record_type()) {
                        found.records.push(record.data.clone());
                    }
                    found.shorten(Some(Duration::from_secs(u64::from(record.ttl))));
                }
            }
            Err(NetError::Dns(DnsError::NoRecordsFound(_))) => {}
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) if found.records.is_empty() => Err(error),
        _ => Ok(found),
    }
}

/// Every address of every service. A service whose name is gone by now is left out; one that cannot be asked for fails the whole.
async fn services(resolver: &TokioResolver, mut found: Found) -> Result<Answer, String> {
    let mut services: Vec<(Name, u16)> = Vec::new();
    for record in &found.records {
        let RData::SRV(service) = record else {
            continue;
        };
        let service = (service.target.clone(), service.port);
        // The root means: no such service here.
        if !service.0.is_root() && !services.contains(&service) && services.len() < MOST_SERVICES {
            services.push(service);
        }
    }
    let types = [RecordType::A, RecordType::AAAA];
    let looked_up = services.iter().map(|(name, port)| {
        let mut name = name.clone();
        name.set_fqdn(true);
        async move { (of_name(resolver, &name, &types).await, name, *port) }
    });
    let mut addresses = BTreeSet::new();
    for (result, name, port) in join_all(looked_up).await {
        let hosts = result.map_err(|error| format!("{name}: {error}"))?;
        found.shorten(hosts.ttl);
        let of_service = hosts.records.iter().filter_map(RData::ip_addr);
        addresses.extend(of_service.map(|ip| SocketAddr::new(ip, port)));
    }
    Ok(Answer {
        addresses: addresses.into_iter().collect(),
        ttl: found.ttl,
    })
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::rr::Name;

    use super::candidates;

    #[test]
    fn a_short_name_is_looked_for_in_the_search_list_first_and_a_long_one_last() {
        let search = ["ml.svc.cluster.local", "svc.cluster.local"]
            .map(|domain| Name::from_ascii(domain).unwrap());
        let tried = |host, ndots| -> Vec<String> {
            let names = candidates(host, &search, ndots).unwrap();
            names.iter().map(Name::to_ascii).collect()
        };
        assert_eq!(
            tried("fraud.ml.svc", 5),
            [
                "fraud.ml.svc.ml.svc.cluster.local.",
                "fraud.ml.svc.svc.cluster.local.",
                "fraud.ml.svc."
            ]
        );
        assert_eq!(
            tried("fraud.example.org", 2),
            [
                "fraud.example.org.",
                "fraud.example.org.ml.svc.cluster.local.",
                "fraud.example.org.svc.cluster.local."
            ]
        );
        assert_eq!(
            tried("fraud.ml.svc.cluster.local.", 5),
            ["fraud.ml.svc.cluster.local."]
        );
        assert!(candidates("a..b", &search, 5).is_err());
    }
}
