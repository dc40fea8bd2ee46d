//! Every row of the bench, in the order of the table.

use super::row::Column::{self, Libcurl, Native as OfNative};
use super::row::Figure::{Calls, Cpu, Instructions, Memory, Quotes, Rate, Throughput, Wait};
use super::row::Who::{Client, Curl, Go, Http, Native, Nginx, Other, Raw};
use super::row::{Aim, Figure, Row, Who, below, least, most};
use super::server::Load;
use super::work::Job::{Attested, Cycle, Events, Idle, IdleStreams, Mode, RawDownload, Tunnel};
use super::work::Work::{self, Counted, Fresh, Metered, Printed, PrintedByPeers, Process, Proxied, Served, Traced};

const fn row(
    name: &'static str,
    what: &'static str,
    (work, figure): (Work, Figure),
    (ours, peers): (Who, &'static [Who]),
    aims: &'static [Aim],
) -> Row {
    Row { name, what, work, figure, ours, peers, aims }
}

const CLIENTS: &[Who] = &[Native, Curl, Go];
/// Go is not counted: its runtime does not work under valgrind, and the system calls are its scheduler's too.
const COUNTED: &[Who] = &[Native, Curl];
const SERVERS: &[Who] = &[Native, Nginx, Go];

const SMALL: Work = Metered(Mode(&["seq", "N"]), 20_000);
const SMALL_COUNTED: Work = Counted(Mode(&["seq", "N"]), 200, 1200);
const SMALL_TRACED: Work = Traced(Mode(&["seq", "N"]), 200, 1200);
const INLINE: Work = Metered(Events("inline", "64"), 40_000);
const INLINE_COUNTED: Work = Counted(Events("inline", "64"), 1280, 6400);
const INLINE_TRACED: Work = Traced(Events("inline", "64"), 1280, 6400);
const POLLED: Work = Metered(Events("polled", "64"), 40_000);
const POLLED_TRACED: Work = Traced(Events("polled", "64"), 1280, 6400);
const DISPATCHED: Work = Metered(Events("dispatching", "64"), 40_000);
const DISPATCHED_TRACED: Work = Traced(Events("dispatching", "64"), 1280, 6400);
const DOWN: Work = Metered(Mode(&["down", "/256m", "N"]), 4);
const UP: Work = Metered(Mode(&["up", "268435456", "N"]), 4);
const NEW: Work = Metered(Mode(&["hs", "N"]), 500);
const TUNNEL_DOWN: Work = Metered(Tunnel(&["down", "/256m", "N"]), 2);
const TUNNEL_UP: Work = Metered(Tunnel(&["up", "268435456", "N"]), 2);
const QUOTES: Work = Printed("attest", &["400"]);
const FAMILIES: Work = Printed("families", &["200"]);
const SIZES: Work = Printed("sizes", &["100"]);

const CALLS: &[Aim] = &[below(3.2)];
const DOWN_RATE: &[Aim] = &[least(0.97, OfNative), least(1.25, Libcurl)];
const DOWN_CPU: &[Aim] = &[most(1.0, OfNative)];
const UP_CPU: &[Aim] = &[most(0.55, OfNative)];
const TUNNEL: &[Aim] = &[least(0.95, OfNative)];
const BESIDE_PEER: &[Aim] = &[most(1.0, Column::Other)];

pub const GROUPS: &[&[Row]] =
    &[SMALL_ROWS, EVENT_ROWS, CONNECTION_ROWS, BYTE_ROWS, TRUST_ROWS, FAMILY_ROWS, SERVER_ROWS, OTHER_ROWS];

pub fn all() -> impl Iterator<Item = &'static Row> {
    GROUPS.iter().flat_map(|group| group.iter())
}

#[rustfmt::skip]
const SMALL_ROWS: &[Row] = &[
    row("small-instructions-http", "Small requests one after the other on one connection of `atls_http`.", (SMALL_COUNTED, Instructions), (Http, COUNTED),
        &[most(1.3, OfNative), most(0.45, Libcurl)]),
    row("small-instructions-client", "The same through `atls_client`.", (SMALL_COUNTED, Instructions), (Client, COUNTED), &[most(0.85, OfNative)]),
    row("small-calls-http", "System calls of such a request.", (SMALL_TRACED, Calls), (Http, COUNTED), &[]),
    row("small-calls-client", "The same through `atls_client`.", (SMALL_TRACED, Calls), (Client, COUNTED), &[]),
    row("small-cpu-http", "CPU of such a request.", (SMALL, Cpu), (Http, CLIENTS), &[]),
    row("small-cpu-client", "The same through `atls_client`.", (SMALL, Cpu), (Client, CLIENTS), &[most(1.0, OfNative)]),
    row("small-rate-http", "How many a second.", (SMALL, Rate), (Http, CLIENTS), &[least(0.95, OfNative), least(1.12, Libcurl)]),
    row("small-rate-client", "The same through `atls_client`.", (SMALL, Rate), (Client, CLIENTS), &[]),
    row("start-cpu", "A whole process that makes one request.", (Process(Mode(&["seq", "N"])), Cpu), (Http, CLIENTS), &[below(4000.0)]),
];

#[rustfmt::skip]
const EVENT_ROWS: &[Row] = &[
    row("events-inline-instructions-http", "64 small requests at a time over an inline queue, each on a connection of its own.", (INLINE_COUNTED, Instructions),
        (Http, &[Native]), &[]),
    row("events-inline-instructions-client", "The same over the pool of an `atls_client`.", (INLINE_COUNTED, Instructions), (Client, &[Native]), &[]),
    row("events-inline-calls-http", "System calls of such a request; libcurl is driven by `curl_multi_socket_action`.", (INLINE_TRACED, Calls), (Http, COUNTED), CALLS),
    row("events-inline-calls-client", "The same over the pool.", (INLINE_TRACED, Calls), (Client, COUNTED), CALLS),
    row("events-inline-cpu-http", "CPU of such a request.", (INLINE, Cpu), (Http, CLIENTS), &[]),
    row("events-inline-cpu-client", "The same over the pool.", (INLINE, Cpu), (Client, CLIENTS), &[most(0.95, OfNative)]),
    row("events-inline-rate-http", "How many a second.", (INLINE, Rate), (Http, CLIENTS), &[least(0.9, OfNative), least(2.0, Libcurl)]),
    row("events-inline-rate-client", "The same over the pool.", (INLINE, Rate), (Client, CLIENTS), &[least(1.05, OfNative)]),
    row("events-polled-calls-http", "System calls of a request over a polled queue, 64 at a time.", (POLLED_TRACED, Calls), (Http, COUNTED), CALLS),
    row("events-polled-calls-client", "The same over the pool.", (POLLED_TRACED, Calls), (Client, COUNTED), CALLS),
    row("events-polled-cpu-http", "CPU of such a request.", (POLLED, Cpu), (Http, CLIENTS), &[most(1.3, OfNative)]),
    row("events-polled-cpu-client", "The same over the pool.", (POLLED, Cpu), (Client, CLIENTS), &[most(1.15, OfNative)]),
    row("events-polled-rate-http", "How many a second.", (POLLED, Rate), (Http, CLIENTS), &[]),
    row("events-polled-rate-client", "The same over the pool.", (POLLED, Rate), (Client, CLIENTS), &[]),
    row("events-dispatching-calls-http", "System calls of a request over a dispatching queue, 64 at a time.", (DISPATCHED_TRACED, Calls), (Http, COUNTED), CALLS),
    row("events-dispatching-calls-client", "The same over the pool.", (DISPATCHED_TRACED, Calls), (Client, COUNTED), CALLS),
    row("events-dispatching-cpu-http", "CPU of such a request.", (DISPATCHED, Cpu), (Http, CLIENTS), &[]),
    row("events-dispatching-cpu-client", "The same over the pool.", (DISPATCHED, Cpu), (Client, CLIENTS), &[]),
    row("events-dispatching-rate-http", "How many a second.", (DISPATCHED, Rate), (Http, CLIENTS), &[]),
    row("events-dispatching-rate-client", "The same over the pool.", (DISPATCHED, Rate), (Client, CLIENTS), &[]),
];

const MANY: &[Who] = &[Native, Curl, Go];

#[rustfmt::skip]
const CONNECTION_ROWS: &[Row] = &[
    row("connections-1-cpu", "CPU of a small request over an inline queue, on 1 connection.", (Metered(Events("inline", "1"), 10_000), Cpu), (Http, MANY), &[]),
    row("connections-100-cpu", "On 100 connections.", (Metered(Events("inline", "100"), 40_000), Cpu), (Http, MANY), &[]),
    row("connections-1000-cpu", "On 1,000 connections.", (Metered(Events("inline", "1000"), 40_000), Cpu), (Http, MANY), &[]),
    row("connections-10000-cpu", "On 10,000 connections; libcurl closes those over 4,096.", (Metered(Events("inline", "10000"), 40_000), Cpu), (Http, &[Native, Go]), &[]),
    row("connections-1-memory", "Memory of one idle connection beside another.", (Metered(Idle, 1), Memory), (Http, MANY), &[]),
    row("connections-100-memory", "Memory of one of 100 idle connections.", (Metered(Idle, 100), Memory), (Http, MANY), &[]),
    row("connections-1000-memory", "Of 1,000.", (Metered(Idle, 1000), Memory), (Http, MANY), &[below(14.0)]),
    row("connections-10000-memory", "Of 10,000.", (Metered(Idle, 10_000), Memory), (Http, &[Native, Go]), &[most(0.67, OfNative)]),
    row("connections-streams-memory", "Memory of one of 1,000 idle raw streams, `atls_stream`, beside tokio-rustls alone.", (Metered(IdleStreams, 1000), Memory), (Http, &[Raw]), &[below(11.0)]),
    row("new-cpu-http", "A new connection with its whole handshake, and one request.", (NEW, Cpu), (Http, CLIENTS), &[most(0.92, OfNative), most(0.35, Libcurl)]),
    row("new-cpu-client", "The same through `atls_client`.", (NEW, Cpu), (Client, CLIENTS), &[]),
    row("new-rate-http", "How many a second.", (NEW, Rate), (Http, CLIENTS), &[]),
];

#[rustfmt::skip]
const BYTE_ROWS: &[Row] = &[
    row("download-rate-http", "256 MiB, read 64 KiB at a time.", (DOWN, Throughput), (Http, CLIENTS), DOWN_RATE),
    row("download-rate-client", "The same through `atls_client`.", (DOWN, Throughput), (Client, CLIENTS), DOWN_RATE),
    row("download-cpu-http", "CPU of such a download.", (DOWN, Cpu), (Http, CLIENTS), DOWN_CPU),
    row("download-cpu-client", "The same through `atls_client`.", (DOWN, Cpu), (Client, CLIENTS), DOWN_CPU),
    row("upload-rate-http", "256 MiB, written 64 KiB at a time.", (UP, Throughput), (Http, CLIENTS), &[least(1.6, OfNative), least(2.0, Libcurl)]),
    row("upload-rate-client", "The same through `atls_client`.", (UP, Throughput), (Client, CLIENTS), &[]),
    row("upload-cpu-http", "CPU of such an upload.", (UP, Cpu), (Http, CLIENTS), UP_CPU),
    row("upload-cpu-client", "The same through `atls_client`.", (UP, Cpu), (Client, CLIENTS), UP_CPU),
    row("stream-rate", "256 MiB over `atls_stream`, beside tokio-rustls alone.", (Metered(RawDownload, 4), Throughput), (Http, &[Raw]), &[least(0.97, OfNative)]),
    row("tunnel-down-rate", "256 MiB through a WebSocket tunnel, beside TLS in frames of tokio-tungstenite.", (TUNNEL_DOWN, Throughput), (Http, &[Native]), TUNNEL),
    row("tunnel-up-rate", "The same upwards.", (TUNNEL_UP, Throughput), (Http, &[Native]), TUNNEL),
    row("tunnel-down-cpu", "CPU of the client's end, down.", (TUNNEL_DOWN, Cpu), (Http, &[Native]), &[]),
    row("tunnel-up-cpu", "CPU of the client's end, up.", (TUNNEL_UP, Cpu), (Http, &[Native]), &[]),
];

const UNATTESTED: &[Who] = &[Native, Other("unattested")];
const ALONE: &[Who] = &[Other("one request")];
const DCAP: &[Who] = &[Other("dcap-qvl")];

#[rustfmt::skip]
const TRUST_ROWS: &[Row] = &[
    row("attested-cpu", "A new attested connection to a known platform, beside native's plain one and the library's unattested one.",
        (Metered(Attested, 200), Cpu), (Http, UNATTESTED), &[most(1.25, OfNative)]),
    row("fresh-64-quotes", "Quotes for a client with 64 requests at once that has not met the server.", (Fresh("64"), Quotes), (Client, ALONE), &[below(1.0)]),
    row("fresh-64-wait", "Time until the first of them is answered, beside a client with one request.", (Fresh("64"), Wait), (Client, ALONE), &[most(1.3, Column::Other)]),
    row("quote-cold-cpu", "A TDX quote of a platform not seen before.", (QUOTES, Cpu), (Other("cold"), DCAP), &[most(1.02, Column::Other)]),
    row("quote-known-cpu", "A new quote of a known platform.", (QUOTES, Cpu), (Other("known"), DCAP), &[most(0.13, Column::Other)]),
    row("policy-10-cpu", "A quote and its log under a policy of 10 members, the last of which fits.", (SIZES, Cpu), (Other("policy-10"), &[Other("policy-1")]), &[]),
    row("policy-100-cpu", "Under a policy of 100 members.", (SIZES, Cpu), (Other("policy-100"), &[Other("policy-1")]), &[]),
    row("log-100-cpu", "A quote with a log of 100 events.", (SIZES, Cpu), (Other("log-100"), &[Other("log-10")]), &[]),
    row("log-1000-cpu", "Of 1,000 events.", (SIZES, Cpu), (Other("log-1000"), &[Other("log-10")]), &[]),
    row("log-4000-cpu", "Of 4,000 events.", (SIZES, Cpu), (Other("log-4000"), &[Other("log-10")]), &[]),
];

const P384: &[Who] = &[Other("P-384")];

/// What a whole appraisal takes beside one verification of a signature over P-384, and beside other verifiers.
#[rustfmt::skip]
const FAMILY_ROWS: &[Row] = &[
    row("snp-cold-cpu", "A report of SEV-SNP of a chip not seen before.", (FAMILIES, Cpu), (Other("snp-cold"), P384), &[]),
    row("snp-known-cpu", "A new report of a known chip.", (FAMILIES, Cpu), (Other("snp-known"), P384), &[most(1.1, Column::Other)]),
    row("nitro-cold-cpu", "A document of AWS Nitro with an unknown chain.", (FAMILIES, Cpu), (Other("nitro-cold"), P384), &[]),
    row("nitro-known-cpu", "With a known chain.", (FAMILIES, Cpu), (Other("nitro-known"), P384), &[]),
    row("tdx-cold-cpu", "A quote of plain TDX, unknown platform.", (FAMILIES, Cpu), (Other("tdx-cold"), P384), &[]),
    row("tdx-known-cpu", "Known platform.", (FAMILIES, Cpu), (Other("tdx-known"), P384), &[]),
    row("sgx-cold-cpu", "A quote of SGX, unknown platform.", (FAMILIES, Cpu), (Other("sgx-cold"), P384), &[]),
    row("sgx-known-cpu", "Known platform.", (FAMILIES, Cpu), (Other("sgx-known"), P384), &[]),
    row("azure-tdx-cold-cpu", "Azure's TDX with its TPM, unknown platform.", (FAMILIES, Cpu), (Other("azure-tdx-cold"), P384), &[]),
    row("azure-tdx-known-cpu", "Known platform.", (FAMILIES, Cpu), (Other("azure-tdx-known"), P384), &[]),
    row("azure-snp-cold-cpu", "Azure's SEV-SNP with its TPM, chip not seen before.", (FAMILIES, Cpu), (Other("azure-snp-cold"), P384), &[]),
    row("azure-snp-known-cpu", "Known chip.", (FAMILIES, Cpu), (Other("azure-snp-known"), P384), &[]),
    row("gpu-cold-cpu", "A Nitro document with a GPU's report, GPU not seen before.", (FAMILIES, Cpu), (Other("nitro+gpu-cold"), P384), &[]),
    row("gpu-known-cpu", "Known GPU.", (FAMILIES, Cpu), (Other("nitro+gpu-known"), P384), &[]),
    row("snp-first-beside-sev", "A real report in a process that has judged none, by the clock.", (PrintedByPeers, Cpu), (Other("snp-first"), &[Other("sev-first")]), BESIDE_PEER),
    row("snp-known-beside-sev", "A new report of a known chip, beside sev with the chain.", (PrintedByPeers, Cpu), (Other("snp-known"), &[Other("sev"), Other("sev-report-alone")]), BESIDE_PEER),
    row("nitro-first-beside-peer", "A real document in a process that has judged none, by the clock.", (PrintedByPeers, Cpu), (Other("nitro-first"), &[Other("nitro-peer-first")]), BESIDE_PEER),
    row("nitro-known-beside-peer", "A new document with a known chain, beside attestation-doc-validation.", (PrintedByPeers, Cpu), (Other("nitro-known"), &[Other("nitro-peer")]), BESIDE_PEER),
    row("tdx-cold-beside-dcap-qvl", "A quote of plain TDX, unknown platform.", (PrintedByPeers, Cpu), (Other("tdx-cold"), &[Other("dcap-qvl")]), BESIDE_PEER),
    row("tdx-known-beside-dcap-qvl", "Known platform.", (PrintedByPeers, Cpu), (Other("tdx-known"), &[Other("dcap-qvl")]), BESIDE_PEER),
    row("sgx-cold-beside-dcap-qvl", "A quote of SGX, unknown platform.", (PrintedByPeers, Cpu), (Other("sgx-cold"), &[Other("dcap-qvl-sgx")]), BESIDE_PEER),
    row("sgx-known-beside-dcap-qvl", "Known platform.", (PrintedByPeers, Cpu), (Other("sgx-known"), &[Other("dcap-qvl-sgx")]), BESIDE_PEER),
];

#[rustfmt::skip]
const SERVER_ROWS: &[Row] = &[
    row("server-small-instructions", "Small requests one after the other, served; of the server's process.", (Served(Load::Counted), Instructions), (Http, &[Native, Nginx]), &[most(1.15, OfNative)]),
    row("server-small-cpu", "CPU for a small request, 64 connections.", (Served(Load::Small), Cpu), (Http, SERVERS), &[most(1.1, OfNative), most(1.0, Column::Nginx), most(0.25, Column::Go)]),
    row("server-small-rate", "How many a second.", (Served(Load::Small), Rate), (Http, SERVERS), &[]),
    row("server-h2-cpu", "CPU for a small request over HTTP/2, 64 at a time on one connection.", (Served(Load::Streams), Cpu), (Http, SERVERS), &[most(1.1, OfNative)]),
    row("server-h2-rate", "How many a second.", (Served(Load::Streams), Rate), (Http, SERVERS), &[least(0.9, OfNative)]),
    row("server-new-cpu", "CPU for a new connection.", (Served(Load::Connections), Cpu), (Http, SERVERS), &[most(1.05, OfNative), most(0.45, Column::Nginx)]),
    row("server-download-cpu", "CPU for a download of 256 MiB.", (Served(Load::Download), Cpu), (Http, SERVERS), &[most(1.1, OfNative)]),
    row("server-idle-memory", "Memory of one of 1,000 idle connections.", (Served(Load::Idle), Memory), (Http, SERVERS), &[below(14.0)]),
];

const PARSERS: &[Who] = &[Other("httparse"), Native, Other("httptools"), Other("h11")];
const DIRECT: &[Who] = &[Other("without a proxy")];

#[rustfmt::skip]
const OTHER_ROWS: &[Row] = &[
    row("cycle-length-100-cpu", "A request and its answer through `atls_h1_conn`, bodies of 100 bytes by Content-Length.", (Metered(Cycle("length", "100"), 20_000), Cpu), (Http, PARSERS),
        &[most(2.6, Column::Other)]),
    row("cycle-length-1024-cpu", "Bodies of 1 KiB.", (Metered(Cycle("length", "1024"), 20_000), Cpu), (Http, PARSERS), &[]),
    row("cycle-chunked-1024-cpu", "Bodies of 1 KiB, chunked; httparse parses no bodies.", (Metered(Cycle("chunked", "1024"), 20_000), Cpu), (Http, &PARSERS_OF_CHUNKS), &[]),
    row("proxy-small-rate", "Small requests through `atls proxy`, beside the same client attested directly.", (Proxied("seq", "5000"), Rate), (Http, DIRECT), &[]),
    row("proxy-download-rate", "256 MiB through `atls proxy`.", (Proxied("down", "2"), Throughput), (Http, DIRECT), &[]),
];

const PARSERS_OF_CHUNKS: [Who; 3] = [Native, Other("httptools"), Other("h11")];
