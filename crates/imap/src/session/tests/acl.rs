//! Access control lists (RFC 4314) and LIST with MYRIGHTS (RFC 8440).

use super::client::{Client, MAIL, Store, store};
use mailstore::crdt::identity::AccountId;
use mailstore::request::Request;

/// Alice, who has a mailbox Project, and Bob.
fn two() -> (Store, Client, Client) {
    let store = store();
    store.add_account("bob");
    let (mut alice, bob) = (Client::logged_in(&store), Client::logged_in_as(&store, "bob"));
    alice.send("CREATE Project");
    (store, alice, bob)
}

#[test]
fn the_capabilities_and_the_namespace_tell_of_it() {
    let (_, mut alice, _) = two();
    let capabilities = alice.send("CAPABILITY");
    assert!(capabilities.contains(" ACL RIGHTS=kxte LIST-MYRIGHTS"), "{capabilities}");
    assert_eq!(
        alice.send("NAMESPACE"),
        "* NAMESPACE ((\"\" \"/\")) ((\"Other Users/\" \"/\")) NIL\r\nt OK Completed\r\n"
    );
}

/// RFC 4314 sections 3.1 to 3.3.
#[test]
fn what_is_set_is_told_and_can_be_deleted() {
    let (_, mut alice, _) = two();
    assert_eq!(alice.send("GETACL Project"), "* ACL \"Project\" alice lrswipkxteacd\r\nt OK Completed\r\n");
    assert_eq!(alice.send("SETACL Project bob lrs"), "t OK Completed\r\n");
    assert_eq!(alice.send("SETACL Project bob +iw"), "t OK Completed\r\n");
    assert_eq!(alice.send("SETACL Project BOB -s"), "t OK Completed\r\n");
    assert_eq!(alice.send("SETACL Project anyone l"), "t OK Completed\r\n");
    assert_eq!(alice.send("SETACL Project -bob w"), "t OK Completed\r\n");
    let acl = alice.send("GETACL Project");
    let told =
        acl.strip_prefix("* ACL \"Project\" ").and_then(|rest| rest.strip_suffix("\r\nt OK Completed\r\n"));
    let mut pairs: Vec<&str> = told.unwrap_or_else(|| panic!("{acl}")).split(' ').collect();
    let mut entries: Vec<(&str, &str)> =
        pairs.as_chunks::<2>().0.iter().map(|[who, what]| (*who, *what)).collect();
    pairs.clear();
    entries.sort_unstable();
    assert_eq!(entries, [("-bob", "w"), ("alice", "lrswipkxteacd"), ("anyone", "l"), ("bob", "lrwi")]);
    assert_eq!(alice.send("SETACL Project bob lrwi"), "t OK Completed\r\n");
    assert_eq!(alice.send("DELETEACL Project bob"), "t OK Completed\r\n");
    assert_eq!(alice.send("DELETEACL Project -bob"), "t OK Completed\r\n");
    assert!(alice.send("DELETEACL Project nobody").starts_with("t OK "));
    let acl = alice.send("GETACL Project");
    assert!(!acl.contains("bob") && acl.contains(" anyone l"), "{acl}");
    for bad in
        ["SETACL Project bob lz", "SETACL Project bob LR", "SETACL Project bob", "SETACL Project", "GETACL"]
    {
        assert!(alice.send(bad).starts_with("t BAD "), "{bad}");
    }
    assert!(alice.send("SETACL Project nobody lr").starts_with("t NO [CANNOT] "));
    assert!(alice.send("SETACL Absent bob lr").starts_with("t NO [NONEXISTENT] "));
}

/// RFC 4314 section 2.1.1: clients of RFC 2086 give and read `c` and `d`.
#[test]
fn the_obsolete_rights_are_understood() {
    let (_, mut alice, mut bob) = two();
    assert_eq!(alice.send("SETACL Project bob lrcd"), "t OK Completed\r\n");
    assert_eq!(
        bob.send("MYRIGHTS \"Other Users/alice/Project\""),
        "* MYRIGHTS \"Other Users/alice/Project\" lrkxtecd\r\nt OK Completed\r\n"
    );
    alice.send("SETACL Project bob -c");
    assert!(bob.send("MYRIGHTS \"Other Users/alice/Project\"").contains("\" lrted\r\n"));
    alice.send("SETACL Project bob -t");
    assert!(bob.send("MYRIGHTS \"Other Users/alice/Project\"").contains("\" lred\r\n"));
}

/// RFC 4314 section 3.4.
#[test]
fn listrights_tells_what_can_be_given_and_what_is_kept() {
    let (_, mut alice, _) = two();
    assert_eq!(
        alice.send("LISTRIGHTS Project bob"),
        "* LISTRIGHTS \"Project\" bob \"\" l r s w i p k x t e a c d\r\nt OK Completed\r\n"
    );
    assert_eq!(
        alice.send("LISTRIGHTS Project alice"),
        "* LISTRIGHTS \"Project\" alice la r s w i p k x t e c d\r\nt OK Completed\r\n"
    );
}

#[test]
fn the_owner_can_tie_his_hands_but_not_lock_himself_out() {
    let (_, mut alice, _) = two();
    alice.append("Project", "()", MAIL);
    assert_eq!(alice.send("SETACL Project alice lr"), "t OK Completed\r\n");
    assert_eq!(alice.send("MYRIGHTS Project"), "* MYRIGHTS \"Project\" lra\r\nt OK Completed\r\n");
    assert!(alice.send("DELETE Project").starts_with("t NO [NOPERM] "));
    assert!(alice.append("Project", "()", MAIL).starts_with("t NO [NOPERM] "));
    assert!(alice.send("SELECT Project").ends_with("t OK [READ-ONLY] Selected\r\n"));
    assert!(alice.send("STORE 1 +FLAGS (\\Seen)").starts_with("t NO [NOPERM] "));
    alice.send("UNSELECT");
    for command in
        ["DELETEACL Project alice", "SETACL Project -alice lrswipkxtea", "SETACL Project -anyone la"]
    {
        assert_eq!(alice.send(command), "t OK Completed\r\n", "{command}");
        assert_eq!(alice.send("MYRIGHTS Project"), "* MYRIGHTS \"Project\" la\r\nt OK Completed\r\n");
    }
    assert!(
        alice
            .send("SELECT Project")
            .ends_with("t NO [NOPERM] For this mailbox you do not have the rights r\r\n")
    );
    for command in
        ["SETACL Project alice lrswipkxtea", "DELETEACL Project -alice", "DELETEACL Project -anyone"]
    {
        alice.send(command);
    }
    assert!(alice.send("SELECT Project").ends_with("t OK [READ-WRITE] Selected\r\n"));
}

#[test]
fn negative_rights_are_taken_from_what_is_given_to_all() {
    let (store, mut alice, mut bob) = two();
    store.add_account("carol");
    let mut carol = Client::logged_in_as(&store, "carol");
    alice.send("SETACL Project anyone lri");
    alice.send("SETACL Project -bob ri");
    assert!(bob.send("MYRIGHTS \"Other Users/alice/Project\"").contains("\" l\r\n"));
    assert!(carol.send("MYRIGHTS \"Other Users/alice/Project\"").contains("\" lri\r\n"));
    alice.send("SETACL Project -anyone l");
    assert!(carol.send("MYRIGHTS \"Other Users/alice/Project\"").contains("\" ri\r\n"));
    assert!(bob.send("MYRIGHTS \"Other Users/alice/Project\"").starts_with("t NO [NONEXISTENT] "));
}

/// RFC 4314 section 6: what somebody may not know of is not told by the words of a refusal.
#[test]
fn a_refusal_does_not_tell_that_there_is_a_mailbox() {
    let (_, mut alice, mut bob) = two();
    // Shares something else, so that Alice is known to be there; and nothing to be seen of Project.
    alice.send("CREATE Public");
    alice.send("SETACL Public anyone lr");
    alice.send("SETACL Project bob p");
    for command in [
        "SELECT {}",
        "EXAMINE {}",
        "STATUS {} (MESSAGES)",
        "DELETE {}",
        "RENAME {} \"Other Users/alice/New\"",
        "GETACL {}",
        "SETACL {} bob lr",
        "DELETEACL {} bob",
        "LISTRIGHTS {} bob",
        "MYRIGHTS {}",
        "GETMETADATA {} /shared/comment",
        "SETMETADATA {} (/shared/comment x)",
        "GETQUOTAROOT {}",
    ] {
        let of = |bob: &mut Client, name: &str| {
            bob.send(&command.replace("{}", &format!("\"Other Users/{name}\"")))
        };
        let hidden = of(&mut bob, "alice/Project");
        assert!(hidden.starts_with("t NO [NO"), "{command}: {hidden}");
        assert_eq!(hidden, of(&mut bob, "alice/Absent"), "{command}");
        assert_eq!(hidden, of(&mut bob, "nobody/Project"), "{command}");
    }
    assert_eq!(
        bob.append("\"Other Users/alice/Project\"", "()", MAIL),
        bob.append("\"Other Users/alice/Absent\"", "()", MAIL)
    );
    let create = |bob: &mut Client, name: &str| bob.send(&format!("CREATE \"Other Users/{name}\""));
    let refused = create(&mut bob, "alice/Project");
    assert!(refused.starts_with("t NO [NOPERM] "), "{refused}");
    assert_eq!(refused, create(&mut bob, "alice/Absent"));
    assert_eq!(refused, create(&mut bob, "nobody/Project"));
    let listed = bob.send("LIST \"\" \"Other*\"");
    assert!(listed.contains("\"Other Users/alice/Public\"") && !listed.contains("Project"), "{listed}");
}

/// RFC 8440.
#[test]
fn list_tells_rights_where_it_is_asked_to() {
    let (_, mut alice, mut bob) = two();
    alice.send("SETACL Project bob lrs");
    alice.send("CREATE Hall");
    alice.send("SETACL Hall bob l");
    let listed = bob.send("LIST \"\" (INBOX \"Other Users/%/%\") RETURN (MYRIGHTS STATUS (MESSAGES))");
    assert_eq!(
        listed,
        concat!(
            "* LIST (\\HasNoChildren) \"/\" \"INBOX\"\r\n",
            "* MYRIGHTS \"INBOX\" lrswipkxteacd\r\n",
            "* STATUS \"INBOX\" (MESSAGES 0)\r\n",
            "* LIST (\\HasNoChildren) \"/\" \"Other Users/alice/Hall\"\r\n",
            "* MYRIGHTS \"Other Users/alice/Hall\" l\r\n",
            "* LIST (\\HasNoChildren) \"/\" \"Other Users/alice/Project\"\r\n",
            "* MYRIGHTS \"Other Users/alice/Project\" lrs\r\n",
            "* STATUS \"Other Users/alice/Project\" (MESSAGES 0)\r\n",
            "t OK Completed\r\n"
        )
    );
    let above = bob.send("LIST \"\" (\"Other Users\" \"Other Users/%\") RETURN (MYRIGHTS)");
    assert_eq!(
        above,
        concat!(
            "* LIST (\\HasChildren \\NonExistent \\Noselect) \"/\" \"Other Users\"\r\n",
            "* LIST (\\HasChildren \\NonExistent \\Noselect) \"/\" \"Other Users/alice\"\r\n",
            "t OK Completed\r\n"
        )
    );
}

#[test]
fn an_access_control_list_goes_with_its_mailbox_alone() {
    let (_, mut alice, mut bob) = two();
    alice.send("SETACL Project bob lrk");
    alice.send("CREATE Project/Plans");
    assert!(
        bob.send("MYRIGHTS \"Other Users/alice/Project/Plans\"").contains("\" lrkc\r\n"),
        "it is inherited"
    );
    assert!(alice.send("RENAME Project Work").starts_with("t OK "));
    assert!(bob.send("MYRIGHTS \"Other Users/alice/Work\"").contains("\" lrkc\r\n"));
    assert!(bob.send("MYRIGHTS \"Other Users/alice/Project\"").starts_with("t NO [NONEXISTENT] "));
    alice.send("DELETE Work/Plans");
    alice.send("DELETE Work");
    alice.send("CREATE Work");
    assert!(bob.send("MYRIGHTS \"Other Users/alice/Work\"").starts_with("t NO [NONEXISTENT] "));
    assert_eq!(alice.send("GETACL Work"), "* ACL \"Work\" alice lrswipkxteacd\r\nt OK Completed\r\n");
    // What the owner took from himself is inherited, too.
    alice.send("SETACL Work alice -x");
    alice.send("CREATE Work/Old");
    assert!(alice.send("MYRIGHTS Work/Old").contains("\" lrswipkteacd\r\n"));
}

/// The second Bob is not the first one, although he has his name.
#[test]
fn an_account_inherits_nothing_from_one_of_its_name() {
    let (store, mut alice, mut bob) = two();
    alice.send("SETACL Project bob lrswite");
    bob.send("CREATE Mine");
    bob.send("SETACL Mine alice lr");
    assert!(alice.send("LIST \"\" \"Other Users/*\"").contains("Mine"));
    let account = AccountId::of_name("bob");
    store.ask(Request::RemoveAccount { account }).expect("removed");
    assert_eq!(alice.send("GETACL Project"), "* ACL \"Project\" alice lrswipkxteacd\r\nt OK Completed\r\n");
    assert_eq!(alice.send("LIST \"\" \"Other Users/*\""), "t OK Completed\r\n");
    assert!(alice.send("SETACL Project bob lr").starts_with("t NO [CANNOT] "));
    store.add_account("bob");
    let mut bob = Client::logged_in_as(&store, "bob");
    assert_eq!(bob.send("LIST \"\" \"Other Users/*\""), "t OK Completed\r\n");
    assert!(
        bob.send("SELECT \"Other Users/alice/Project\"")
            .ends_with("t NO [NONEXISTENT] There is no such mailbox\r\n")
    );
    assert!(
        alice
            .send("SELECT \"Other Users/bob/Mine\"")
            .ends_with("t NO [NONEXISTENT] There is no such mailbox\r\n")
    );
    alice.send("SETACL Project bob lr");
    assert!(bob.send("SELECT \"Other Users/alice/Project\"").ends_with("t OK [READ-ONLY] Selected\r\n"));
}

#[test]
fn whoever_may_administer_can_give_rights() {
    let (store, mut alice, mut bob) = two();
    store.add_account("carol");
    alice.send("SETACL Project bob la");
    assert_eq!(bob.send("SETACL \"Other Users/alice/Project\" carol lr"), "t OK Completed\r\n");
    assert!(
        bob.send("GETACL \"Other Users/alice/Project\"").contains("* ACL \"Other Users/alice/Project\" ")
    );
    assert!(bob.send("GETACL \"Other Users/alice/Project\"").contains(" carol lr"));
    assert!(bob.send("LISTRIGHTS \"Other Users/alice/Project\" alice").contains(" alice la r s"));
    bob.send("SETACL \"Other Users/alice/Project\" alice \"\"");
    assert!(alice.send("MYRIGHTS Project").contains("\" la\r\n"));
    alice.send("SETACL Project bob -a");
    for command in ["GETACL {}", "SETACL {} carol lrs", "DELETEACL {} carol", "LISTRIGHTS {} carol"] {
        let answer = bob.send(&command.replace("{}", "\"Other Users/alice/Project\""));
        assert!(answer.starts_with("t NO [NOPERM] "), "{command}: {answer}");
    }
}
