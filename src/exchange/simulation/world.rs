//! A proxy of a simulation, at random: limits, routes, callers, and two versions of a configuration that live side by side.
//! In: a seed. Out: the documents for the filter, and for the oracle which budgets a request is charged to, as promises.md
//! says it. Not here: what happens there (`case`), what is right (`oracle`).

use std::sync::OnceLock;

use serde_json::{Value, json};

use super::documents::document;
use super::random::{Random, pick};
use super::tokens::thumbprint;
use crate::exchange::tests::{Token, token};
use crate::fake::at;

/// One part of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Client,
    Constant,
    Header,
    Ip,
    Peer,
    Route,
    Source,
    Tenant,
}

/// So many in so many seconds, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    pub(super) permits: u32,
    pub(super) seconds: u64,
    pub(super) burst: u32,
}

impl Rate {
    /// The time for one permit. All rates here come out even.
    pub(super) fn interval(self) -> u64 {
        self.seconds * 1_000_000_000 / u64::from(self.permits)
    }
}

/// When an override counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    Peer(u8),
    Client(&'static str),
    /// In that minute of the day.
    Minute(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counts {
    Requests,
    Shadow,
    Outcomes { status: u16, undecided: u32 },
    AtOnce { most: u32, heal: u64 },
    Fleet,
}

#[derive(Clone, Debug)]
pub(super) struct Limit {
    pub(super) name: &'static str,
    pub(super) key: Vec<Part>,
    pub(super) counts: Counts,
    pub(super) rate: Rate,
    pub(super) overrides: Vec<(When, Rate)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Public,
    Peer,
    Token,
}

#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) path: String,
    pub(super) access: Access,
    pub(super) limits: Vec<usize>,
    pub(super) cost: u32,
}

/// One version of the configuration.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) limits: Vec<Limit>,
    pub(super) routes: Vec<Route>,
}

/// What is shown where a token must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shows {
    Signed,
    /// One that the issuer is asked about.
    Opaque,
    /// One for a key, with a proof.
    ForKey,
}

/// Who sends requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    pub(super) peer: Option<u8>,
    pub(super) ip: u8,
    pub(super) header: Option<u16>,
    pub(super) token: usize,
    pub(super) shows: Shows,
}

impl Caller {
    /// The `jti` of its token.
    pub(super) fn token_id(&self) -> String {
        match self.shows {
            Shows::Signed => self.token.to_string(),
            Shows::Opaque => format!("opaque-{}", self.token),
            Shows::ForKey => format!("for-key-{}", self.token),
        }
    }
}

/// Claims of the tokens: the client, its tenant, and what the tenant is to be counted as.
const TOKENS: [(&str, &str, &str); 5] =
    [("a", "7", "7"), ("a", "\"7\"", "text 7"), ("b", "7.0", "7"), ("b", "null", "-"), ("c", "true", "true")];

/// The texts of the tokens, signed once. An opaque one is its own name.
pub(super) fn token_text(caller: &Caller) -> &'static str {
    static TEXTS: OnceLock<[Vec<String>; 3]> = OnceLock::new();
    let texts = TEXTS.get_or_init(|| {
        let callers =
            |shows| (0..TOKENS.len()).map(move |token| Caller { shows, token, peer: None, ip: 0, header: None });
        [
            callers(Shows::Signed).map(|caller| unbound(&caller).text()).collect(),
            callers(Shows::Opaque).map(|caller| caller.token_id()).collect(),
            callers(Shows::ForKey)
                .map(|caller| unbound(&caller).claim("cnf", json!({"jkt": thumbprint()})).text())
                .collect(),
        ]
    });
    &texts[caller.shows as usize][caller.token]
}

/// What the issuer says of an opaque token that is good.
pub(super) fn claims(caller: &Caller) -> Value {
    unbound(caller).claims()
}

fn unbound(caller: &Caller) -> Token {
    let (client, tenant, _) = TOKENS[caller.token];
    let tenant: Value = serde_json::from_str(tenant).unwrap();
    let expires = at(0.0).wall.as_millis() / 1000 + 80_000;
    let token = token().claim("cnf", Value::Null).claim("client_id", json!(client));
    let token = token.claim("tenant", tenant).claim("exp", json!(expires));
    token.claim("jti", json!(caller.token_id()))
}

/// The path of the first route.
pub(super) const FIRST: &str = "/r0";

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) versions: [Version; 2],
    /// The filter of each worker.
    pub(super) filters: Vec<usize>,
    pub(super) callers: Vec<Caller>,
    /// Whether keys are fetched.
    pub(super) remote_keys: bool,
    pub(super) on_error: &'static str,
    /// What the service grants in an hour.
    pub(super) quota: u32,
    /// Whether the issuer is asked about opaque tokens.
    pub(super) asks: bool,
    /// Whether proofs are taken, and if so whether they need a nonce.
    pub(super) proofs: Option<bool>,
    /// What becomes of tokens without a document of revocations, if there should be one.
    pub(super) revokes: Option<&'static str>,
}

impl World {
    pub(super) fn new(random: &mut Random) -> Self {
        let mut limits: Vec<Limit> =
            ["l0", "l1", "l2"][..1 + random.below(3)].iter().map(|name| limit(name, random)).collect();
        if random.happens(0.3) {
            let rate = Rate { permits: 60, seconds: 3600, burst: 2 + random.below(3) as u32 };
            let (key, _) = key(random);
            limits.push(Limit { name: "fleet", key, counts: Counts::Fleet, rate, overrides: Vec::new() });
        }
        let routes = routes(&limits, random);
        let first = Version { limits, routes };
        let mut second = first.clone();
        for _ in 0..random.below(3) {
            edit(&mut second, random);
        }
        let caller = |_| Caller {
            peer: random.happens(0.85).then(|| random.below(3) as u8),
            ip: random.below(2) as u8,
            header: random.happens(0.7).then(|| random.below(3) as u16),
            token: random.below(TOKENS.len()),
            shows: Shows::Signed,
        };
        let callers = (0..4).map(caller).collect();
        let mut filters = vec![0, 0, 1, 0];
        filters.truncate(2 + random.below(3));
        let mut world = Self {
            versions: [first, second],
            filters,
            callers,
            remote_keys: random.happens(0.5),
            on_error: pick(random, &["refuse", "local", "allow"]),
            quota: 3 + random.below(40) as u32,
            asks: false,
            proofs: None,
            revokes: None,
        };
        if random.happens(0.4) {
            world.have_tokens(random);
        }
        world
    }

    /// Its issuer has more than keys, and the first route takes tokens.
    fn have_tokens(&mut self, random: &mut Random) {
        self.asks = random.happens(0.6);
        self.proofs = random.happens(0.6).then(|| random.happens(0.5));
        self.revokes = random.happens(0.6).then(|| pick(random, &["refuse", "allow"]));
        let mut shows = vec![Shows::Signed];
        shows.extend(self.asks.then_some(Shows::Opaque));
        shows.extend(self.proofs.map(|_| Shows::ForKey));
        for caller in &mut self.callers {
            caller.shows = pick(random, &shows);
        }
        let routes = self.versions.iter_mut().flat_map(|version| &mut version.routes);
        for route in routes.filter(|route| route.path == FIRST) {
            route.access = Access::Token;
        }
    }

    /// Whether more than signatures decides about tokens.
    pub(super) fn has_tokens(&self) -> bool {
        self.asks || self.proofs.is_some() || self.revokes.is_some()
    }

    pub(super) fn document(&self, version: usize) -> String {
        document(self, &self.versions[version]).to_string()
    }
}

fn key(random: &mut Random) -> (Vec<Part>, bool) {
    use Part::{Client, Constant, Header, Ip, Peer, Route, Source, Tenant};
    let of_sources: [&[Part]; 8] =
        [&[], &[Peer], &[Ip], &[Source], &[Peer, Route], &[Header, Ip], &[Constant, Peer], &[Route, Source]];
    let of_tokens: [&[Part]; 4] = [&[Client], &[Tenant], &[Client, Route], &[Client, Peer, Tenant]];
    let needs_token = random.happens(0.25);
    let key = if needs_token { of_tokens[random.below(4)] } else { of_sources[random.below(8)] };
    (key.to_vec(), needs_token)
}

fn rate(random: &mut Random) -> Rate {
    let (permits, seconds) = pick(random, &[(1, 1), (2, 1), (5, 1), (6, 60), (12, 60), (60, 3600)]);
    Rate { permits, seconds, burst: 1 + random.below(4) as u32 }
}

fn limit(name: &'static str, random: &mut Random) -> Limit {
    let (key, needs_token) = key(random);
    let counts = match random.below(8) {
        0..=2 => Counts::Requests,
        3 => Counts::Shadow,
        4 | 5 => Counts::Outcomes { status: pick(random, &[403, 404, 429]), undecided: 1 + random.below(3) as u32 },
        _ => Counts::AtOnce { most: 1 + random.below(3) as u32, heal: 60 + 15 * random.below(2) as u64 },
    };
    // One budget for all, which a stranger could spend, is refused as a configuration.
    let key = if key.is_empty() && matches!(counts, Counts::Outcomes { .. }) { vec![Part::Ip] } else { key };
    let mut overrides: Vec<(When, Rate)> = Vec::new();
    if !matches!(counts, Counts::AtOnce { .. }) && random.happens(0.6) {
        let client = if needs_token { When::Client("a") } else { When::Peer(1) };
        for when in [When::Peer(0), client, When::Minute(random.below(2) as u64)] {
            if random.happens(0.5) {
                overrides.push((when, rate(random)));
            }
        }
    }
    Limit { name, key, counts, rate: rate(random), overrides }
}

impl Limit {
    fn needs_token(&self) -> bool {
        self.key.iter().any(|part| matches!(part, Part::Client | Part::Tenant))
    }

    /// The most that a request may cost.
    fn smallest(&self) -> u32 {
        match self.counts {
            Counts::AtOnce { most, .. } => most,
            _ => self.overrides.iter().fold(self.rate.burst, |least, (_, rate)| least.min(rate.burst)),
        }
    }
}

fn routes(limits: &[Limit], random: &mut Random) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::new();
    let add = |access, limits: Vec<usize>, routes: &mut Vec<Route>| {
        routes.push(Route { path: format!("/r{}", routes.len()), access, limits, cost: 1 });
    };
    for _ in 0..2 {
        let access = pick(random, &[Access::Public, Access::Peer, Access::Token]);
        let fits = |limit: &Limit| access == Access::Token || !limit.needs_token();
        let chosen = limits.iter().enumerate().filter(|(_, limit)| fits(limit) && random.happens(0.8));
        let chosen = chosen.map(|(place, _)| place).collect();
        add(access, chosen, &mut routes);
    }
    for (place, limit) in limits.iter().enumerate() {
        let access = if limit.needs_token() { Access::Token } else { Access::Public };
        // One with that limit alone, so that what is leased can be used up.
        if limit.counts == Counts::Fleet || routes.iter().all(|route| !route.limits.contains(&place)) {
            add(access, vec![place], &mut routes);
        }
    }
    for route in &mut routes {
        let most = route.limits.iter().map(|place| limits[*place].smallest()).min().unwrap_or(1);
        let alone = route.limits.iter().all(|place| limits[*place].counts == Counts::Fleet);
        if most > 1 && !alone && random.happens(0.25) {
            route.cost = 2;
        }
    }
    routes
}

/// One change, as promises.md and limits.md distinguish them.
fn edit(version: &mut Version, random: &mut Random) {
    let place = random.below(version.limits.len());
    let Version { limits, routes } = version;
    let limit = &mut limits[place];
    match random.below(7) {
        0 => limit.rate.permits *= if limit.rate.seconds == 1 { 2 } else { 1 },
        1 => limit.rate.burst += 1,
        2 => match &mut limit.counts {
            Counts::AtOnce { most, .. } => *most += 1,
            Counts::Outcomes { undecided, .. } => *undecided += 1,
            Counts::Requests => limit.counts = Counts::Shadow,
            Counts::Shadow => limit.counts = Counts::Requests,
            Counts::Fleet => {}
        },
        3 => limit.overrides.reverse(),
        4 => drop(limit.overrides.pop()),
        5 => limit.key.reverse(),
        _ => {
            let route = Route { path: "/front".into(), access: Access::Public, limits: Vec::new(), cost: 1 };
            if routes.iter().all(|other| other.path != route.path) {
                routes.insert(0, route);
            }
        }
    }
}

/// What one limit makes of a request.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) limit: &'static str,
    pub(super) counts: Counts,
    /// The budget that it is charged to or looked at, by name.
    pub(super) account: String,
    pub(super) rate: Rate,
    /// Where it holds a place: its name, the most that may be held, and how much it holds.
    pub(super) place: Option<(String, u32, u32)>,
    /// Whose budget at the service, if that counts it: all filters share it.
    pub(super) service: Option<String>,
    pub(super) cost: u32,
    /// What of the key its caller cannot choose, where that is not all of it.
    pub(super) owner: Option<String>,
    /// Whether refusals of the filter count, too.
    pub(super) of_source: bool,
}

impl Version {
    /// The place of a route, by its path.
    pub(super) fn route(&self, path: &str) -> Option<&Route> {
        self.routes.iter().find(|route| route.path == path)
    }

    /// Whether the caller may use a route, but for limits.
    pub(super) fn may_pass(&self, path: &str, caller: &Caller) -> bool {
        self.route(path).is_some_and(|route| route.access != Access::Peer || caller.peer.is_some())
    }

    /// What a request is charged to, by the promises; `let_in`: whether its token is known.
    pub(super) fn lines(&self, filter: usize, path: &str, caller: &Caller, second: u64, let_in: bool) -> Vec<Line> {
        match self.route(path) {
            Some(route) => {
                let token = (let_in && route.access == Access::Token).then_some(caller.token);
                let line = |place: &usize| line(&self.limits[*place], filter, path, caller, token, second, route.cost);
                route.limits.iter().map(line).collect()
            }
            None => {
                let counts = |limit: &&Limit| {
                    matches!(limit.counts, Counts::Outcomes { status: 404, .. }) && !limit.needs_token()
                };
                self.limits
                    .iter()
                    .filter(counts)
                    .map(|limit| line(limit, filter, "-", caller, None, second, 1))
                    .collect()
            }
        }
    }
}

fn line(
    limit: &Limit,
    filter: usize,
    path: &str,
    caller: &Caller,
    token: Option<usize>,
    second: u64,
    cost: u32,
) -> Line {
    let mut values: Vec<(Part, String)> =
        limit.key.iter().map(|part| (*part, value(*part, path, caller, token))).collect();
    values.sort();
    let holds = |when: &When| match when {
        When::Peer(peer) => caller.peer == Some(*peer),
        When::Client(client) => token.is_some_and(|token| TOKENS[token].0 == *client),
        When::Minute(minute) => second / 60 % 1440 == *minute,
    };
    let other = limit.overrides.iter().find(|(when, _)| holds(when));
    let (condition, rate) = other.map_or((None, limit.rate), |(when, rate)| (Some(when), *rate));
    let whose = format!("{} of filter {filter} for {values:?}", limit.name);
    let place = match limit.counts {
        Counts::AtOnce { most, .. } => Some((whose.clone(), most, cost)),
        Counts::Outcomes { undecided, .. } => Some((format!("{whose}, undecided, {condition:?}"), undecided, 1)),
        Counts::Requests | Counts::Shadow | Counts::Fleet => None,
    };
    Line {
        limit: limit.name,
        counts: limit.counts,
        account: format!("{whose}, {condition:?}, {rate:?}"),
        rate,
        place,
        service: (limit.counts == Counts::Fleet).then(|| format!("{values:?}")),
        cost,
        owner: limit.key.contains(&Part::Header).then(|| {
            let given: Vec<_> = values.iter().filter(|(part, _)| *part != Part::Header).collect();
            format!("{} of filter {filter} for {given:?}", limit.name)
        }),
        of_source: !limit.needs_token(),
    }
}

fn value(part: Part, path: &str, caller: &Caller, token: Option<usize>) -> String {
    let optional = |value: Option<u16>| value.map_or("-".into(), |value| value.to_string());
    match part {
        Part::Client => token.map_or("-", |token| TOKENS[token].0).into(),
        Part::Tenant => token.map_or("-", |token| TOKENS[token].2).into(),
        Part::Peer => optional(caller.peer.map(u16::from)),
        Part::Ip => caller.ip.to_string(),
        Part::Source => caller.peer.map_or(format!("ip {}", caller.ip), |peer| format!("peer {peer}")),
        Part::Route => path.into(),
        Part::Header => optional(caller.header),
        Part::Constant => "x".into(),
    }
}
