//! The real server and real agents together, on a road that can be made bad: what is promised of commands and their
//! results holds, whatever is killed, cut or late.

mod crowd;
mod faults;
mod kills;
mod load;
mod loss;
mod output;
mod road;

use super::agent::Agent;
use crate::support::client::Client;
use crate::support::server::{Jumpbag, Options};
use road::Road;

/// A server, and the road that its agents know it by.
struct Rig {
    bag: Jumpbag,
    road: Road,
}

impl Rig {
    async fn start(options: Options) -> Rig {
        let bag = options.start().await;
        let road = Road::open(&bag.url()).await;
        Rig { bag, road }
    }

    /// An agent that runs and comes by the road.
    async fn agent(&self) -> Agent {
        let mut agent = Agent::enrolled_at(&self.bag, &self.road.url(), &[]).await;
        agent.start();
        agent
    }

    async fn operator(&self) -> Client {
        super::operator(&self.bag).await
    }

    /// SIGKILL, and the next life.
    async fn kill_server(&self) {
        self.bag.restart().await;
        self.road.lead_to(&self.bag.url());
    }
}
