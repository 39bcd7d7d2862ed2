// What a user does in Thunderbird, done from inside: every call is evaluated in its main window, with its own rights.

const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const { MailUtils } = ChromeUtils.importESModule("resource:///modules/MailUtils.sys.mjs");

const LIMIT = 25000;

/** Waits for `ms` milliseconds. */
function pause(ms) {
  // A timer that nothing refers to never fires.
  const timers = (globalThis.timers ??= new Set());
  return new Promise(resolve => {
    const timer = Cc["@mozilla.org/timer;1"].createInstance(Ci.nsITimer);
    timers.add(timer);
    const over = () => {
      timers.delete(timer);
      resolve();
    };
    timer.initWithCallback(over, ms, Ci.nsITimer.TYPE_ONE_SHOT);
  });
}

/** Waits until `attempt` gives something; at most LIMIT milliseconds. */
async function until(what, attempt) {
  const from = Date.now();
  for (;;) {
    const value = attempt();
    if (value) {
      return value;
    }
    if (Date.now() - from > LIMIT) {
      throw new Error(`not within ${LIMIT} ms: ${what}`);
    }
    await pause(50);
  }
}

function server() {
  return MailServices.accounts.accounts.map(account => account.incomingServer).find(each => each.type == "imap");
}

function folder(name) {
  return server().rootFolder.descendants.find(each => each.name.toLowerCase() == name.toLowerCase());
}

function idOf(header) {
  return header.messageId.split("@")[0];
}

function header(name, id) {
  return [...folder(name).messages].find(each => idOf(each) == id);
}

/** Adds the account, with its password. */
async function setUp(host, port, user, password) {
  const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
  login.init(`imap://${host}`, null, `imap://${host}`, user, password, "", "");
  await Services.logins.addLoginAsync(login);
  const identity = MailServices.accounts.createIdentity();
  identity.email = `${user}@example.org`;
  const incoming = MailServices.accounts.createIncomingServer(user, host, "imap");
  incoming.port = port;
  incoming.socketType = Ci.nsMsgSocketType.plain;
  incoming.authMethod = Ci.nsMsgAuthMethod.passwordCleartext;
  // What it says is to be read on the way.
  incoming.QueryInterface(Ci.nsIImapIncomingServer).useCompressDeflate = false;
  const account = MailServices.accounts.createAccount();
  account.addIdentity(identity);
  account.incomingServer = incoming;
  MailServices.accounts.defaultAccount = account;
}

/** Looks into INBOX, the one folder that a new account has; the others are found with it. */
async function folders(names) {
  let turns = 0;
  await until(`the folders ${names}`, () => {
    if (turns++ % 40 == 0) {
      folder("INBOX").updateFolder(null);
    }
    return names.every(name => folder(name));
  });
}

/** Asks what is new in a folder; whether the server answered, within five seconds. */
function update(name) {
  const answer = new Promise(resolve => {
    const listener = {
      OnStartRunningUrl() {},
      OnStopRunningUrl(url, status) {
        resolve(Components.isSuccessCode(status));
      },
    };
    folder(name).QueryInterface(Ci.nsIMsgImapMailFolder).updateFolderWithListener(null, listener);
  });
  // A folder that is busy does not always tell.
  return Promise.race([answer, pause(5000).then(() => false)]);
}

/** Asks what is new in a folder until it shows exactly these messages. */
async function shows(name, ids) {
  const wanted = [...ids].sort().join(" ");
  const from = Date.now();
  for (;;) {
    const answered = await update(name);
    const shown = list(name).map(each => each[0]).sort().join(" ");
    if (answered && shown == wanted) {
      return;
    }
    if (Date.now() - from > LIMIT) {
      throw new Error(`${name} shows ${shown}, not ${wanted}`);
    }
    await pause(200);
  }
}

/** The messages of a folder: [id, UID, read, flagged, stored]. */
function list(name) {
  const all = [...folder(name).messages].map(each => [
    idOf(each),
    each.messageKey,
    each.isRead,
    each.isFlagged,
    Boolean(each.flags & Ci.nsMsgMessageFlags.Offline),
  ]);
  return all.sort((one, other) => one[1] - other[1]);
}

/** Stores all messages of a folder, for reading them offline. It does so by itself, too: then the folder is busy. */
async function download(name) {
  let turns = 0;
  await until(`all of ${name} is stored`, () => {
    if (list(name).every(each => each[4])) {
      return true;
    }
    if (turns++ % 40 == 0 && !folder(name).locked) {
      folder(name).downloadAllForOffline(null, null);
    }
    return false;
  });
}

/** Opens a message and waits until its text is displayed. */
async function read(name, id) {
  MailUtils.displayMessageInFolderTab(header(name, id));
  await until(`${id} is displayed and read`, () => {
    const tabs = Services.wm.getMostRecentWindow("mail:3pane").document.getElementById("tabmail");
    const text = tabs.currentAboutMessage?.getMessagePaneBrowser()?.contentDocument?.body?.textContent;
    return text?.includes(`This is ${id}.`) && header(name, id).isRead;
  });
}

async function mark(name, id, what) {
  if (what == "read") {
    folder(name).markMessagesRead([header(name, id)], true);
  } else {
    folder(name).markMessagesFlagged([header(name, id)], true);
  }
}

function copyListener(resolve, reject) {
  return {
    onStartCopy() {},
    onProgress() {},
    setMessageKey() {},
    getMessageId() {
      return null;
    },
    onStopCopy(status) {
      status ? reject(new Error(`status ${status.toString(16)}`)) : resolve();
    },
  };
}

async function move(from, id, to) {
  await new Promise((resolve, reject) =>
    MailServices.copy.copyMessages(
      folder(from),
      [header(from, id)],
      folder(to),
      true,
      copyListener(resolve, reject),
      null,
      false
    )
  );
}

/** To the trash, as the Delete key does. */
async function remove(name, id) {
  await new Promise((resolve, reject) =>
    folder(name).deleteMessages([header(name, id)], null, false, false, copyListener(resolve, reject), false)
  );
}

/** The messages whose body contains a text, as the server finds them. */
async function search(name, text) {
  const session = Cc["@mozilla.org/messenger/searchSession;1"].createInstance(Ci.nsIMsgSearchSession);
  session.addScopeTerm(Ci.nsMsgSearchScope.onlineMail, folder(name));
  const term = session.createTerm();
  term.attrib = Ci.nsMsgSearchAttrib.Body;
  term.op = Ci.nsMsgSearchOp.Contains;
  const value = term.value;
  value.attrib = Ci.nsMsgSearchAttrib.Body;
  value.str = text;
  term.value = value;
  term.booleanAnd = false;
  session.appendTerm(term);
  const found = [];
  await new Promise(resolve => {
    session.registerListener({
      onNewSearch() {},
      onSearchHit(each) {
        found.push(idOf(each));
      },
      onSearchDone() {
        resolve();
      },
    });
    session.search(null);
  });
  return found;
}

async function goOffline() {
  Services.io.offline = true;
}

/** Online again; what was done offline is brought to the server. */
async function goOnline() {
  const manager = Cc["@mozilla.org/messenger/offline-manager;1"].getService(Ci.nsIMsgOfflineManager);
  manager.goOnline(false, true, Services.wm.getMostRecentWindow("mail:3pane").msgWindow);
  await until("what was done offline is brought", () => !manager.inProgress);
}

/** Changes the account to another port, with TLS from the start, and with COMPRESS as it is by default. */
async function useTls(port) {
  server().closeCachedConnections();
  server().socketType = Ci.nsMsgSocketType.SSL;
  server().QueryInterface(Ci.nsIImapIncomingServer).useCompressDeflate = true;
  server().port = port;
}
