//! What a line of the table is: a figure of the library's beside the same figure of others, and what it ought to be.

use super::work::Work;

/// Somebody who does the work.
#[derive(Clone, Copy, PartialEq)]
pub enum Who {
    /// The library through `atls_http`, or whatever else stands for it.
    Http,
    /// The library through `atls_client`.
    Client,
    /// hyper, tokio-rustls and rustls in Rust; tokio-tungstenite for the tunnel.
    Native,
    /// tokio-rustls with HTTP by hand.
    Raw,
    Curl,
    Go,
    Nginx,
    /// Someone else, or the library in another case.
    Other(&'static str),
}

/// Where someone's figure is shown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Column {
    Libatls,
    Native,
    Libcurl,
    Go,
    Nginx,
    Other,
}

pub const COLUMNS: [Column; 5] = [Column::Native, Column::Libcurl, Column::Go, Column::Nginx, Column::Other];

#[derive(Clone, Copy, PartialEq)]
pub enum Figure {
    /// User and system time for one operation.
    Cpu,
    /// Operations a second.
    Rate,
    /// MiB a second.
    Throughput,
    Instructions,
    /// System calls for one operation, of the whole process.
    Calls,
    /// Resident memory for one connection.
    Memory,
    /// Quotes that the server's machine makes.
    Quotes,
    /// The time until the first answer.
    Wait,
}

/// What the ratio to someone ought to be, or the figure itself.
#[derive(Clone, Copy)]
pub struct Aim {
    pub is_least: bool,
    pub limit: f64,
    pub to: Option<Column>,
}

pub const fn most(limit: f64, to: Column) -> Aim {
    Aim { is_least: false, limit, to: Some(to) }
}

pub const fn least(limit: f64, to: Column) -> Aim {
    Aim { is_least: true, limit, to: Some(to) }
}

/// Of the figure itself, in the unit in which it is shown.
pub const fn below(limit: f64) -> Aim {
    Aim { is_least: false, limit, to: None }
}

pub struct Row {
    pub name: &'static str,
    /// One sentence for the page.
    pub what: &'static str,
    pub work: Work,
    pub figure: Figure,
    pub ours: Who,
    /// The first one is what releases are compared by.
    pub peers: &'static [Who],
    pub aims: &'static [Aim],
}

impl Who {
    pub fn column(self) -> Column {
        match self {
            Who::Http | Who::Client => Column::Libatls,
            Who::Native | Who::Raw => Column::Native,
            Who::Curl => Column::Libcurl,
            Who::Go => Column::Go,
            Who::Nginx => Column::Nginx,
            Who::Other(_) => Column::Other,
        }
    }

    /// As it stands in the table and in JSON.
    pub fn label(self) -> &'static str {
        match self {
            Who::Other(name) => name,
            _ => self.column().label(),
        }
    }
}

impl Column {
    pub fn label(self) -> &'static str {
        match self {
            Column::Libatls => "libatls",
            Column::Native => "native",
            Column::Libcurl => "libcurl",
            Column::Go => "Go",
            Column::Nginx => "nginx",
            Column::Other => "another",
        }
    }
}

impl Figure {
    pub fn unit(self) -> &'static str {
        match self {
            Figure::Cpu | Figure::Wait => "us",
            Figure::Rate => "/s",
            Figure::Throughput => "MiB/s",
            Figure::Instructions => "instr.",
            Figure::Calls => "calls",
            Figure::Memory => "KiB",
            Figure::Quotes => "quotes",
        }
    }

    /// With as many digits as mean something.
    pub fn show(self, value: f64) -> String {
        let digits = match value.abs() {
            large if large >= 1000.0 => 0,
            middle if middle >= 10.0 => 1,
            _ => 2,
        };
        format!("{value:.digits$} {}", self.unit())
    }
}

impl Aim {
    pub fn is_reached(&self, value: f64) -> bool {
        if self.is_least { value >= self.limit } else { value <= self.limit }
    }

    /// `other` names whoever stands in that column.
    pub fn text(&self, other: &str) -> String {
        let bound = if self.is_least { "at least" } else { "at most" };
        match self.to {
            None => format!("{bound} {}", self.limit),
            Some(Column::Other) => format!("{bound} {} of {other}", self.limit),
            Some(column) => format!("{bound} {} of {}", self.limit, column.label()),
        }
    }
}
