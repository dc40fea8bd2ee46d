//! The two state machines of a connection and the rules that connect them. A plain value, usable without a connection. Pure.

/// Who sends requests, and who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    Client = 0,
    Server = 1,
}

impl Role {
    pub fn other(self) -> Role {
        match self {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Role::Client => "client",
            Role::Server => "server",
        }
    }
}

/// Where one side of a connection is. The numbers are those of the C ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    Idle = 0,
    /// Server only: the request's head has come, the final response not yet begun.
    SendResponse = 1,
    SendBody = 2,
    Done = 3,
    /// Nothing more may be sent but the end of the connection.
    MustClose = 4,
    Closed = 5,
    /// Client only: its message is done, and a switch that it proposed is undecided.
    MightSwitchProtocol = 6,
    SwitchedProtocol = 7,
    /// For good.
    Error = 8,
}

impl State {
    pub const ALL: [State; 9] = [
        State::Idle,
        State::SendResponse,
        State::SendBody,
        State::Done,
        State::MustClose,
        State::Closed,
        State::MightSwitchProtocol,
        State::SwitchedProtocol,
        State::Error,
    ];

    pub fn name(self) -> &'static str {
        [
            "IDLE",
            "SEND_RESPONSE",
            "SEND_BODY",
            "DONE",
            "MUST_CLOSE",
            "CLOSED",
            "MIGHT_SWITCH_PROTOCOL",
            "SWITCHED_PROTOCOL",
            "ERROR",
        ][self as usize]
    }
}

/// What happens on a connection; the last two are answers of a connection, not events of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum EventKind {
    Request = 1,
    /// 100-199.
    InformationalResponse = 2,
    /// 200-999.
    Response = 3,
    Data = 4,
    EndOfMessage = 5,
    ConnectionClosed = 6,
    NeedData = 7,
    Paused = 8,
}

impl EventKind {
    pub fn name(self) -> &'static str {
        [
            "Request",
            "InformationalResponse",
            "Response",
            "Data",
            "EndOfMessage",
            "ConnectionClosed",
            "NEED_DATA",
            "PAUSED",
        ][self as usize - 1]
    }
}

/// Bits of a proposal to switch protocols.
pub mod switch {
    pub const NONE: u8 = 0;
    pub const CONNECT: u8 = 1;
    pub const UPGRADE: u8 = 2;
}

/// Both machines, whether the connection may be kept alive, and the switches that the client's request proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct States {
    pub client: State,
    pub server: State,
    pub keep_alive: bool,
    /// [`switch`] bits.
    pub proposals: u8,
}

impl Default for States {
    fn default() -> Self {
        States { client: State::Idle, server: State::Idle, keep_alive: true, proposals: switch::NONE }
    }
}

impl States {
    pub fn of(&self, role: Role) -> State {
        match role {
            Role::Client => self.client,
            Role::Server => self.server,
        }
    }

    fn set(&mut self, role: Role, state: State) {
        match role {
            Role::Client => self.client = state,
            Role::Server => self.server = state,
        }
    }

    /// `role` sends an event. `accepted` is the one proposal that a server's event accepts, or none. On an error nothing changes.
    pub fn event(&mut self, role: Role, kind: EventKind, accepted: u8) -> Result<(), String> {
        let mut next = *self;
        if accepted != switch::NONE && next.proposals & accepted == 0 {
            return Err("the server accepts a switch of protocol that the client did not propose".into());
        }
        if role == Role::Server && kind == EventKind::Response && accepted == switch::NONE {
            next.proposals = switch::NONE;
        }
        next.set(role, after(role, self.of(role), kind, accepted).ok_or_else(|| self.refused(role, kind))?);
        if kind == EventKind::Request {
            if self.server != State::Idle {
                return Err(self.refused(Role::Server, kind));
            }
            next.server = State::SendResponse;
        }
        next.settle();
        *self = next;
        Ok(())
    }

    #[cold]
    fn refused(&self, role: Role, kind: EventKind) -> String {
        format!("{} is impossible while the {} is in state {}", kind.name(), role.name(), self.of(role).name())
    }

    pub fn propose(&mut self, proposals: u8) {
        self.proposals |= proposals;
        self.settle();
    }

    pub fn disable_keep_alive(&mut self) {
        self.keep_alive = false;
        self.settle();
    }

    /// `role` is in error, for good.
    pub fn fail(&mut self, role: Role) {
        self.set(role, State::Error);
        self.settle();
    }

    /// Starts the next cycle if both sides are done and the connection is kept alive. Otherwise nothing changes.
    pub fn start_next_cycle(&mut self) -> Result<(), String> {
        if (self.client, self.server) != (State::Done, State::Done) {
            return Err(format!(
                "no next cycle while the client is in state {} and the server in {}",
                self.client.name(),
                self.server.name()
            ));
        }
        self.client = State::Idle;
        self.server = State::Idle;
        Ok(())
    }

    /// Applies the transitions that follow from the states alone, until there are none. The order matters: a pending switch takes precedence over
    /// the end of keep-alive.
    fn settle(&mut self) {
        loop {
            let before = *self;
            if self.proposals != switch::NONE && self.client == State::Done {
                self.client = State::MightSwitchProtocol;
            }
            if self.proposals == switch::NONE && self.client == State::MightSwitchProtocol {
                self.client = State::Done;
            }
            if !self.keep_alive {
                for role in [Role::Client, Role::Server] {
                    if self.of(role) == State::Done {
                        self.set(role, State::MustClose);
                    }
                }
            }
            match (self.client, self.server) {
                (State::MightSwitchProtocol, State::SwitchedProtocol) => self.client = State::SwitchedProtocol,
                (State::Closed, State::Done | State::Idle) | (State::Error, State::Done) => {
                    self.server = State::MustClose;
                }
                (State::Done | State::Idle, State::Closed) | (State::Done, State::Error) => {
                    self.client = State::MustClose;
                }
                _ => {}
            }
            if *self == before {
                return;
            }
        }
    }
}

/// The state of `role` after its own event, if that event is possible.
fn after(role: Role, state: State, kind: EventKind, accepted: u8) -> Option<State> {
    use EventKind as E;
    use State as S;
    Some(match (role, state, kind, accepted) {
        (Role::Client, S::Idle, E::Request, switch::NONE) => S::SendBody,
        (Role::Server, S::Idle | S::SendResponse, E::Response, switch::NONE) => S::SendBody,
        (Role::Server, S::SendResponse, E::InformationalResponse, switch::NONE) => S::SendResponse,
        (Role::Server, S::SendResponse, E::InformationalResponse, switch::UPGRADE) => S::SwitchedProtocol,
        (Role::Server, S::SendResponse, E::Response, switch::CONNECT) => S::SwitchedProtocol,
        (_, S::SendBody, E::Data, switch::NONE) => S::SendBody,
        (_, S::SendBody, E::EndOfMessage, switch::NONE) => S::Done,
        (_, S::Idle | S::Done | S::MustClose | S::Closed, E::ConnectionClosed, switch::NONE) => S::Closed,
        _ => return None,
    })
}
