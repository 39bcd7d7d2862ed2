//! The cluster as it is before anything happens.

use crdt::identity::NodeSlot;

use super::{ACCOUNT, Violation, World, broken};

impl World {
    /// The first node, its account, and those members that are there from the beginning.
    pub(super) fn found(&mut self) -> Result<(), Violation> {
        self.nodes[0].settle_in(NodeSlot::FIRST);
        self.begin(0)?;
        self.admit(0)?;
        for node in 1..self.settings.nodes - self.settings.joining {
            let slot = self.grant()?;
            self.nodes[node].settle_in(slot);
            self.admit(node)?;
            self.begin(node)?;
        }
        let request = mailstore::Request::AddAccount { name: ACCOUNT.into(), password: "hash".into() };
        let wall = self.nodes[0].wall(self.now);
        if let Some(life) = &mut self.nodes[0].life {
            let store = life.store.clone();
            life.ask(wall, store.ask(request)).map_err(|why| broken(0, why))?;
        }
        for node in 0..self.settings.nodes - self.settings.joining {
            self.carry_log(0, node)?;
            let now = self.now;
            self.nodes[node].open_account(now, self.account).map_err(|why| broken(node, why))?;
            self.committed(node)?;
        }
        Ok(())
    }

    fn begin(&mut self, node: usize) -> Result<(), Violation> {
        self.nodes[node].joined = true;
        self.nodes[node].start(self.now).map_err(|why| broken(node, why))
    }

    fn grant(&mut self) -> Result<NodeSlot, Violation> {
        let wall = self.nodes[0].wall(self.now);
        let life = self.nodes[0].life.as_mut().ok_or_else(|| broken(0, "it is gone".into()))?;
        let store = life.store.clone();
        let granted = life.ask(wall, store.grant()).map_err(|why| broken(0, why))?;
        granted.map(|granted| granted.slot).ok_or_else(|| broken(0, "it has no slots".into()))
    }

    fn admit(&mut self, node: usize) -> Result<(), Violation> {
        let wall = self.nodes[0].wall(self.now);
        let (member, life) = (self.nodes[node].member(), &mut self.nodes[0].life);
        let (Some(member), Some(life)) = (member, life) else { return Ok(()) };
        let store = life.store.clone();
        life.ask(wall, store.admit(member)).map_err(|why| broken(0, why))
    }

    /// Brings one node's log to another by hand, as a join does.
    fn carry_log(&mut self, from: usize, to: usize) -> Result<(), Violation> {
        if from == to {
            return Ok(());
        }
        let lacks = self.nodes[to].life.as_ref().map(|life| life.store.vector()).unwrap_or_default();
        let Some(giver) = &self.nodes[from].life else { return Ok(()) };
        let records =
            giver.store.delta_since(&lacks, usize::MAX).map_err(|why| broken(from, why.to_string()))?;
        let wall = self.nodes[to].wall(self.now);
        match &mut self.nodes[to].life {
            Some(life) => life.apply(wall, records).map_err(|why| broken(to, why)),
            None => Ok(()),
        }
    }
}
