use super::*;

fn ip(text: &str) -> Option<IpAddr> {
    Some(text.parse().expect("an address of this test"))
}

fn admission(connections: u32, new_connections: u32) -> Admission {
    let limits = proto::Limits {
        connections,
        new_connections,
        ..proto::Limits::default()
    };
    Admission::new(&limits, Instant::now())
}

fn refusal(admission: &Admission, address: &str) -> Option<Admit> {
    admission.connect(ip(address), Instant::now()).err()
}

#[tokio::test(start_paused = true)]
async fn an_address_holds_so_many_sockets_and_no_more() {
    let admission = admission(3, 100);
    let connect = || admission.connect(ip("192.0.2.1"), Instant::now());
    let mut held: Vec<_> = (0..3)
        .map(|_| connect().expect("within the limit"))
        .collect();
    assert_eq!(connect().err(), Some(Admit::TooManyLive));
    assert_eq!(refusal(&admission, "192.0.2.2"), None, "another address");
    held.pop();
    held.push(connect().expect("one was closed"));
    assert_eq!(connect().err(), Some(Admit::TooManyLive));
}

#[tokio::test(start_paused = true)]
async fn an_address_opens_so_many_in_ten_seconds_and_then_again() {
    let admission = admission(100, 20);
    for _ in 0..20 {
        assert_eq!(refusal(&admission, "192.0.2.1"), None);
    }
    tokio::time::advance(Duration::from_secs(4)).await;
    let retry = Duration::from_secs(6);
    assert_eq!(
        refusal(&admission, "192.0.2.1"),
        Some(Admit::TooFast { retry })
    );
    tokio::time::advance(Duration::from_secs(6)).await;
    assert_eq!(
        refusal(&admission, "192.0.2.1"),
        None,
        "what is refused does not count"
    );
}

#[tokio::test(start_paused = true)]
async fn limits_off_lifts_new_connections_but_not_live_ones_or_guests() {
    let limits = proto::Limits {
        connections: 30,
        rates: false,
        ..proto::Limits::default()
    };
    let admission = Admission::new(&limits, Instant::now());
    let connect = || admission.connect(ip("192.0.2.1"), Instant::now());
    let held: Vec<_> = (0..30).filter_map(|_| connect().ok()).collect();
    assert_eq!(held.len(), 30);
    assert_eq!(connect().err(), Some(Admit::TooManyLive));
    for _ in 0..10 {
        assert_eq!(admission.new_guest(ip("192.0.2.1"), Instant::now()), Ok(()));
    }
    assert!(
        admission
            .new_guest(ip("192.0.2.1"), Instant::now())
            .is_err()
    );
}

#[tokio::test(start_paused = true)]
async fn without_an_address_nothing_is_limited_but_everything_is_counted() {
    let admission = admission(1, 1);
    let held: Vec<_> = (0..100)
        .filter_map(|_| admission.connect(None, Instant::now()).ok())
        .collect();
    assert_eq!(held.len(), 100);
    assert_eq!(admission.sockets().len(), 100);
    drop(held);
    assert_eq!(admission.sockets().len(), 0);
    for _ in 0..100 {
        assert_eq!(admission.new_guest(None, Instant::now()), Ok(()));
    }
}

#[tokio::test(start_paused = true)]
async fn new_guests_of_an_address_come_at_ten_a_minute() {
    let admission = admission(50, 20);
    for _ in 0..10 {
        assert_eq!(admission.new_guest(ip("192.0.2.1"), Instant::now()), Ok(()));
    }
    tokio::time::advance(Duration::from_secs(59)).await;
    assert_eq!(
        admission.new_guest(ip("192.0.2.1"), Instant::now()),
        Err(1_000)
    );
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(admission.new_guest(ip("192.0.2.1"), Instant::now()), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn an_ipv6_network_is_one_address() {
    let admission = admission(1, 100);
    let _held = admission
        .connect(ip("2001:db8:0:1::1"), Instant::now())
        .expect("the first");
    assert_eq!(
        refusal(&admission, "2001:db8:0:1:ffff::2"),
        Some(Admit::TooManyLive)
    );
    assert_eq!(refusal(&admission, "2001:db8:0:2::1"), None);
    let hash = |text| admission.address_hash(ip(text));
    assert_eq!(hash("2001:db8:0:1::1"), hash("2001:db8:0:1::2"));
    assert_ne!(hash("2001:db8:0:1::1"), hash("2001:db8:0:2::1"));
    assert_eq!(hash("::ffff:192.0.2.1"), hash("192.0.2.1"));
    assert_eq!(admission.address_hash(None), 0);
    assert_eq!(
        hash("192.0.2.1"),
        Address::from(ip("192.0.2.1").unwrap()).hash()
    );
}

#[tokio::test(start_paused = true)]
async fn the_past_of_addresses_is_forgotten() {
    let admission = admission(50, 20);
    let held = admission.connect(ip("198.51.100.1"), Instant::now());
    for n in 0..10_000_u32 {
        assert_eq!(
            refusal(&admission, &format!("10.0.{}.{}", n / 256, n % 256)),
            None
        );
    }
    let known = || admission.inner.state.lock().addresses.len();
    assert_eq!(known(), 10_001);
    tokio::time::advance(CONNECTIONS_WITHIN.max(SWEEP_EVERY)).await;
    assert_eq!(refusal(&admission, "10.1.0.0"), None);
    assert_eq!(known(), 2, "the one that is connected and the last");
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_addresses_stays_within_bounds() {
    let admission = admission(50, 20);
    let _held = admission.connect(ip("198.51.100.1"), Instant::now());
    for n in 0..3 * MAX_IDLE as u64 {
        if n % 1_000 == 0 {
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        let network = IpAddr::from(((u128::from(n) << 64) | 1).to_be_bytes());
        assert!(admission.connect(Some(network), Instant::now()).is_ok());
        assert!(admission.inner.state.lock().addresses.len() <= MAX_IDLE + 1);
    }
    let state = admission.inner.state.lock();
    assert_eq!(
        state.addresses[&Address::from(ip("198.51.100.1").unwrap())].live,
        1
    );
}
