//! Who takes part: clusters with their nodes, the resources that things happen to, and the people on call.

use sha2::{Digest as _, Sha256};

use super::{random::Draw, services::Service};

#[derive(Debug)]
pub struct Cluster {
    pub name: &'static str,
    pub environment: &'static str,
    /// How many of a hundred remediations happen here.
    pub weight: usize,
    pub nodes: usize,
}

const fn cluster(name: &'static str, environment: &'static str, weight: usize, nodes: usize) -> Cluster {
    Cluster { name, environment, weight, nodes }
}

pub static CLUSTERS: &[Cluster] = &[
    cluster("eu-prod-1", "production", 30, 24),
    cluster("us-prod-1", "production", 24, 18),
    cluster("ap-prod-1", "production", 12, 11),
    cluster("eu-staging-1", "staging", 13, 7),
    cluster("ap-staging-1", "staging", 11, 6),
    cluster("dev-1", "development", 10, 5),
];

impl Cluster {
    /// A node of the cluster by its number; the same number is always the same node.
    pub fn node(&self, number: usize) -> String {
        let pools = ["general", "general", "general", "memory", "burst"];
        let pool = pools[number % pools.len()];
        let mut draw = Draw::new((number % self.nodes) as u64, self.name);
        format!("{}-{pool}-{}", self.name, draw.suffix(4))
    }
}

/// What a cause happens to. The service is always known too: it is the one that suffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Workload,
    Database,
    Node,
    Volume,
    Certificate,
    Quota,
    Autoscaler,
    ClusterDns,
}

/// A resource of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub kind: &'static str,
    pub namespace: Option<&'static str>,
    pub name: String,
}

impl Target {
    pub fn at(place: Place, service: &'static Service, node: &str) -> Target {
        let inside = Some(service.namespace);
        match place {
            Place::Workload => Target { kind: service.kind, namespace: inside, name: service.name.to_string() },
            Place::Database => Target { kind: "StatefulSet", namespace: inside, name: service.database.to_string() },
            Place::Node => Target { kind: "Node", namespace: None, name: node.to_string() },
            Place::Volume => {
                let name = format!("data-{}-0", service.database);
                Target { kind: "PersistentVolumeClaim", namespace: inside, name }
            }
            Place::Certificate => {
                Target { kind: "Certificate", namespace: inside, name: format!("{}-tls", service.name) }
            }
            Place::Quota => {
                Target { kind: "ResourceQuota", namespace: inside, name: format!("{}-quota", service.namespace) }
            }
            Place::Autoscaler => {
                Target { kind: "HorizontalPodAutoscaler", namespace: inside, name: service.name.to_string() }
            }
            Place::ClusterDns => {
                Target { kind: "Deployment", namespace: Some("kube-system"), name: "coredns".to_string() }
            }
        }
    }

    /// The fingerprint as gateways make it: the same resource of a cluster always has the same one.
    pub fn fingerprint(&self, cluster: &Cluster) -> String {
        let namespace = self.namespace.unwrap_or_default();
        hex(&Sha256::digest(format!("{}:{namespace}:{}:{}", cluster.name, self.kind, self.name)))
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Somebody who decides.
#[derive(Debug)]
pub struct Person {
    pub id: &'static str,
    pub name: &'static str,
    /// The namespaces whose on-call rota they are on; none for the platform's own people.
    pub namespaces: &'static [&'static str],
}

const fn person(id: &'static str, name: &'static str, namespaces: &'static [&'static str]) -> Person {
    Person { id, name, namespaces }
}

static PEOPLE: &[Person] = &[
    person("amara", "Amara", &["payments", "billing"]),
    person("jonas", "Jonas", &["payments", "risk"]),
    person("priya", "Priya", &["billing", "risk"]),
    person("matteo", "Matteo", &["catalogue", "search"]),
    person("hanna", "Hanna", &["catalogue", "web"]),
    person("kofi", "Kofi", &["search", "analytics"]),
    person("linh", "Linh", &["logistics", "messaging"]),
    person("oscar", "Oscar", &["logistics"]),
    person("yusuf", "Yusuf", &["identity", "web"]),
    person("sofia", "Sofia", &["identity", "messaging"]),
    person("renske", "Renske", &["media", "messaging"]),
    person("daniel", "Daniel", &["analytics", "media"]),
    person("mei", "Mei", &[]),
    person("tomasz", "Tomasz", &[]),
    person("ingrid", "Ingrid", &[]),
];

/// Who is on call for a target: the team of its namespace, or the platform's people for what belongs to no team.
pub fn on_call(target: &Target, draw: &mut Draw) -> &'static Person {
    let namespace = target.namespace.unwrap_or("kube-system");
    let team: Vec<&Person> = PEOPLE.iter().filter(|person| person.namespaces.contains(&namespace)).collect();
    let platform: Vec<&Person> = PEOPLE.iter().filter(|person| person.namespaces.is_empty()).collect();
    let outside = team.is_empty() || draw.chance(20);
    draw.pick(if outside { &platform } else { &team })
}

/// The channel of those on call for a target.
pub fn channel(target: &Target) -> String {
    format!("#{}-oncall", target.namespace.filter(|namespace| *namespace != "kube-system").unwrap_or("platform"))
}
