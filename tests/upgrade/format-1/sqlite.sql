BEGIN TRANSACTION;
CREATE TABLE sayiir_audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    reason TEXT,
    details TEXT NOT NULL
);
CREATE TABLE sayiir_definitions (
    number INTEGER PRIMARY KEY,
    workflow_id TEXT NOT NULL,
    definition_hash TEXT NOT NULL,
    structure TEXT NOT NULL,
    routing TEXT NOT NULL,
    lanes TEXT NOT NULL,
    UNIQUE (workflow_id, definition_hash)
);
INSERT INTO "sayiir_definitions" VALUES(1,'kept','97d2268fbe4d0fbd800ab7ade155c44b7682c0d226157d8c52517d45b5bbba36','sayiir definition 1
flow "kept"
  task "first"
  fork "left||right"
    branch "left"
      child "child_0" of="looped"
        loop "child_0/loop_0" max_iterations=10 on_max=fail
          task "child_0/turn"
    branch "right"
      task "right"
    join "join"
  route "branch_0" keys=["a"]
    key "branch_0::key_fn"
    branch "a"
      task "in_route"
  signal "go" of="go" on_timeout=fail
  delay "rest"
  task "fails"
  task "end"
','{}','[""]');
CREATE TABLE sayiir_instances (
    number INTEGER PRIMARY KEY,
    instance_id TEXT NOT NULL UNIQUE,
    definition INTEGER NOT NULL,
    status TEXT NOT NULL,
    input NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    output_ref INTEGER,
    error TEXT,
    reason TEXT,
    actor TEXT,
    request TEXT,
    request_reason TEXT,
    request_actor TEXT,
    metadata TEXT,
    priority INTEGER,
    halted TEXT,
    -- The W3C trace context of the submit, where that was traced.
    trace TEXT
);
INSERT INTO "sayiir_instances" VALUES(1792000000000000512,'submitted',1,'in_progress','{"n":1,"text":"ä €"}',1750000000000000,1750000000000000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"team":"upgrade"}',NULL,NULL,NULL);
INSERT INTO "sayiir_instances" VALUES(1792000000000000513,'awaits',1,'awaiting_signal','{"n":1,"text":"ä €"}',1750000000000000,1750000000000000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"team":"upgrade"}',NULL,NULL,NULL);
INSERT INTO "sayiir_instances" VALUES(1792000000000000514,'has its signal',1,'awaiting_signal','{"n":1,"text":"ä €"}',1750000000000000,1750000000000000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"team":"upgrade"}',NULL,NULL,NULL);
INSERT INTO "sayiir_instances" VALUES(1792000000000000515,'waits',1,'waiting','{"n":1,"text":"ä €"}',1750000000000000,1750000000000000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"team":"upgrade"}',NULL,NULL,NULL);
INSERT INTO "sayiir_instances" VALUES(1792000000000000516,'paused',1,'paused','{"n":1,"text":"ä €"}',1750000000000000,1750000000000000,NULL,NULL,'lunch','somebody',NULL,NULL,NULL,'{"team":"upgrade"}',NULL,NULL,NULL);
INSERT INTO "sayiir_instances" VALUES(1792000000000000517,'cancelled',1,'cancelled','{"n":1,"text":"ä €"}',1750000000000000,1750000000000000,NULL,NULL,'changed my mind',NULL,NULL,NULL,NULL,'{"team":"upgrade"}',NULL,'[{"instance":1792000000000000517,"number":0,"state":"awaiting","node":"go","ref":6,"step":6,"attempt":1,"iteration":1,"crashes":0,"keys":[],"parent":null,"due_at":null,"signal":"go","owner":null,"epoch":3,"until":null,"moved_at":1750000000000000,"definition":1,"tags":"","priority":3,"wake_at":null,"avoid":null}]',NULL);
INSERT INTO "sayiir_instances" VALUES(1792000000000000518,'failed',1,'failed','{"n":1,"text":"ä €"}',1750000000000000,1750003601000000,NULL,'{"error_type":"ValueError","message":"a bad payload","task_id":"fails","node_id":"fails","attempts":1,"traceback":"Traceback (most recent call last):\n  File \"tests/upgrade/flows.py\", line 25, in fails\n    raise ValueError(\"a bad payload\")\nValueError: a bad payload\n","code":"task_failed","details":{}}',NULL,NULL,NULL,NULL,NULL,'{"team":"upgrade"}',NULL,'[{"instance":1792000000000000518,"number":0,"state":"ready","node":"fails","ref":7,"step":9,"attempt":1,"iteration":1,"crashes":0,"keys":[],"parent":null,"due_at":null,"signal":null,"owner":1,"epoch":5,"until":1750003901000000,"moved_at":1750003601000000,"definition":1,"tags":"","priority":3,"wake_at":null,"avoid":null}]',NULL);
INSERT INTO "sayiir_instances" VALUES(1792000000000000519,'completed',1,'completed','{"n":1,"text":"ä €"}',1750000000000000,1750003601000000,10,NULL,NULL,NULL,NULL,NULL,NULL,'{"team":"upgrade"}',NULL,NULL,NULL);
CREATE TABLE sayiir_logs (
    instance INTEGER NOT NULL,
    id INTEGER NOT NULL,
    at INTEGER NOT NULL,
    level TEXT NOT NULL,
    task TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    logger TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (instance, id)
) WITHOUT ROWID;
CREATE TABLE sayiir_migrations (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at INTEGER NOT NULL);
INSERT INTO "sayiir_migrations" VALUES(1,'initial',1750000000000000);
CREATE TABLE sayiir_owners (
    owner INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    beat_at INTEGER NOT NULL,
    facts TEXT
);
INSERT INTO "sayiir_owners" VALUES(1,'kept',1750000000000000,1750000000000000,NULL);
CREATE TABLE sayiir_results (
    instance INTEGER NOT NULL,
    ref INTEGER NOT NULL,
    node TEXT NOT NULL,
    kind TEXT NOT NULL,
    iteration INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    status TEXT NOT NULL,
    output,
    parts TEXT,
    source INTEGER NOT NULL,
    error TEXT,
    worker TEXT,
    started_at INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    superseded INTEGER NOT NULL DEFAULT 0,
    next TEXT,
    PRIMARY KEY (instance, ref)
) WITHOUT ROWID;
INSERT INTO "sayiir_results" VALUES(1792000000000000513,1,'first','task',1,1,'completed','{"first":{"n":1,"text":"ä €"}}',NULL,0,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000513,2,'left||right','fork',1,1,'completed',NULL,'["fork",{"left":4294967300,"right":8589934594}]',1,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000513,3,'join','task',1,1,'completed','{"first":{"left":{"first":{"n":1,"text":"ä €"},"turns":3},"right":{"last":{"first":{"n":1,"text":"ä €"}}}}}',NULL,2,NULL,'kept',1750000000000000,1750000000000000,0,'branch_0::key_fn');
INSERT INTO "sayiir_results" VALUES(1792000000000000513,4,'branch_0::key_fn','task',1,1,'completed','"a"',NULL,3,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000513,5,'in_route','task',1,1,'completed','{"last":{"first":{"left":{"first":{"n":1,"text":"ä €"},"turns":3},"right":{"last":{"first":{"n":1,"text":"ä €"}}}}}}',NULL,3,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000513,6,'branch_0','branch',1,1,'completed',NULL,'["route","a",5]',3,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000513,4294967298,'child_0/turn','task',1,1,'completed','{"first":{"n":1,"text":"ä €"},"turns":1}',NULL,1,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000513,4294967299,'child_0/turn','task',2,1,'completed','{"first":{"n":1,"text":"ä €"},"turns":2}',NULL,4294967298,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000513,4294967300,'child_0/turn','task',3,1,'completed','{"first":{"n":1,"text":"ä €"},"turns":3}',NULL,4294967299,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000513,4294967301,'child_0/loop_0','loop',1,1,'completed',NULL,'["ref",4294967300]',4294967299,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000513,4294967302,'child_0','child_workflow',1,1,'completed',NULL,'["ref",4294967300]',4294967299,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000513,4294967303,'left||right::left','fork_branch',1,1,'completed',NULL,'["ref",4294967300]',4294967299,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000513,8589934594,'right','task',1,1,'completed','{"last":{"first":{"n":1,"text":"ä €"}}}',NULL,1,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000514,1,'first','task',1,1,'completed','{"first":{"n":1,"text":"ä €"}}',NULL,0,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000514,2,'left||right','fork',1,1,'completed',NULL,'["fork",{"left":4294967300,"right":8589934594}]',1,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000514,3,'join','task',1,1,'completed','{"first":{"left":{"first":{"n":1,"text":"ä €"},"turns":3},"right":{"last":{"first":{"n":1,"text":"ä €"}}}}}',NULL,2,NULL,'kept',1750000000000000,1750000000000000,0,'branch_0::key_fn');
INSERT INTO "sayiir_results" VALUES(1792000000000000514,4,'branch_0::key_fn','task',1,1,'completed','"a"',NULL,3,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000514,5,'in_route','task',1,1,'completed','{"last":{"first":{"left":{"first":{"n":1,"text":"ä €"},"turns":3},"right":{"last":{"first":{"n":1,"text":"ä €"}}}}}}',NULL,3,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000514,6,'branch_0','branch',1,1,'completed',NULL,'["route","a",5]',3,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000514,4294967298,'child_0/turn','task',1,1,'completed','{"first":{"n":1,"text":"ä €"},"turns":1}',NULL,1,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000514,4294967299,'child_0/turn','task',2,1,'completed','{"first":{"n":1,"text":"ä €"},"turns":2}',NULL,4294967298,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000514,4294967300,'child_0/turn','task',3,1,'completed','{"first":{"n":1,"text":"ä €"},"turns":3}',NULL,4294967299,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000514,4294967301,'child_0/loop_0','loop',1,1,'completed',NULL,'["ref",4294967300]',4294967299,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000514,4294967302,'child_0','child_workflow',1,1,'completed',NULL,'["ref",4294967300]',4294967299,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000514,4294967303,'left||right::left','fork_branch',1,1,'completed',NULL,'["ref",4294967300]',4294967299,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000514,8589934594,'right','task',1,1,'completed','{"last":{"first":{"n":1,"text":"ä €"}}}',NULL,1,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000515,1,'first','task',1,1,'completed','{"first":{"n":1,"text":"ä €"}}',NULL,0,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000515,2,'left||right','fork',1,1,'completed',NULL,'["fork",{"left":4294967300,"right":8589934594}]',1,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000515,3,'join','task',1,1,'completed','{"first":{"left":{"first":{"n":1,"text":"ä €"},"turns":3},"right":{"last":{"first":{"n":1,"text":"ä €"}}}}}',NULL,2,NULL,'kept',1750000000000000,1750000000000000,0,'branch_0::key_fn');
INSERT INTO "sayiir_results" VALUES(1792000000000000515,4,'branch_0::key_fn','task',1,1,'completed','"a"',NULL,3,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000515,5,'in_route','task',1,1,'completed','{"last":{"first":{"left":{"first":{"n":1,"text":"ä €"},"turns":3},"right":{"last":{"first":{"n":1,"text":"ä €"}}}}}}',NULL,3,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000515,6,'branch_0','branch',1,1,'completed',NULL,'["route","a",5]',3,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000515,7,'go','await_signal',1,1,'completed','"went"',NULL,6,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000515,4294967298,'child_0/turn','task',1,1,'completed','{"first":{"n":1,"text":"ä €"},"turns":1}',NULL,1,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000515,4294967299,'child_0/turn','task',2,1,'completed','{"first":{"n":1,"text":"ä €"},"turns":2}',NULL,4294967298,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000515,4294967300,'child_0/turn','task',3,1,'completed','{"first":{"n":1,"text":"ä €"},"turns":3}',NULL,4294967299,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000515,4294967301,'child_0/loop_0','loop',1,1,'completed',NULL,'["ref",4294967300]',4294967299,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000515,4294967302,'child_0','child_workflow',1,1,'completed',NULL,'["ref",4294967300]',4294967299,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000515,4294967303,'left||right::left','fork_branch',1,1,'completed',NULL,'["ref",4294967300]',4294967299,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000515,8589934594,'right','task',1,1,'completed','{"last":{"first":{"n":1,"text":"ä €"}}}',NULL,1,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000516,1,'first','task',1,1,'completed','{"first":{"n":1,"text":"ä €"}}',NULL,0,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000516,2,'left||right','fork',1,1,'completed',NULL,'["fork",{"left":4294967300,"right":8589934594}]',1,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000516,3,'join','task',1,1,'completed','{"first":{"left":{"first":{"n":1,"text":"ä €"},"turns":3},"right":{"last":{"first":{"n":1,"text":"ä €"}}}}}',NULL,2,NULL,'kept',1750000000000000,1750000000000000,0,'branch_0::key_fn');
INSERT INTO "sayiir_results" VALUES(1792000000000000516,4,'branch_0::key_fn','task',1,1,'completed','"a"',NULL,3,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000516,5,'in_route','task',1,1,'completed','{"last":{"first":{"left":{"first":{"n":1,"text":"ä €"},"turns":3},"right":{"last":{"first":{"n":1,"text":"ä €"}}}}}}',NULL,3,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000516,6,'branch_0','branch',1,1,'completed',NULL,'["route","a",5]',3,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000516,4294967298,'child_0/turn','task',1,1,'completed','{"first":{"n":1,"text":"ä €"},"turns":1}',NULL,1,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000516,4294967299,'child_0/turn','task',2,1,'completed','{"first":{"n":1,"text":"ä €"},"turns":2}',NULL,4294967298,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000516,4294967300,'child_0/turn','task',3,1,'completed','{"first":{"n":1,"text":"ä €"},"turns":3}',NULL,4294967299,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000516,4294967301,'child_0/loop_0','loop',1,1,'completed',NULL,'["ref",4294967300]',4294967299,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000516,4294967302,'child_0','child_workflow',1,1,'completed',NULL,'["ref",4294967300]',4294967299,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000516,4294967303,'left||right::left','fork_branch',1,1,'completed',NULL,'["ref",4294967300]',4294967299,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000516,8589934594,'right','task',1,1,'completed','{"last":{"first":{"n":1,"text":"ä €"}}}',NULL,1,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000517,1,'first','task',1,1,'completed','{"first":{"n":1,"text":"ä €"}}',NULL,0,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000517,2,'left||right','fork',1,1,'completed',NULL,'["fork",{"left":4294967300,"right":8589934594}]',1,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000517,3,'join','task',1,1,'completed','{"first":{"left":{"first":{"n":1,"text":"ä €"},"turns":3},"right":{"last":{"first":{"n":1,"text":"ä €"}}}}}',NULL,2,NULL,'kept',1750000000000000,1750000000000000,0,'branch_0::key_fn');
INSERT INTO "sayiir_results" VALUES(1792000000000000517,4,'branch_0::key_fn','task',1,1,'completed','"a"',NULL,3,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000517,5,'in_route','task',1,1,'completed','{"last":{"first":{"left":{"first":{"n":1,"text":"ä €"},"turns":3},"right":{"last":{"first":{"n":1,"text":"ä €"}}}}}}',NULL,3,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000517,6,'branch_0','branch',1,1,'completed',NULL,'["route","a",5]',3,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000517,4294967298,'child_0/turn','task',1,1,'completed','{"first":{"n":1,"text":"ä €"},"turns":1}',NULL,1,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000517,4294967299,'child_0/turn','task',2,1,'completed','{"first":{"n":1,"text":"ä €"},"turns":2}',NULL,4294967298,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000517,4294967300,'child_0/turn','task',3,1,'completed','{"first":{"n":1,"text":"ä €"},"turns":3}',NULL,4294967299,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000517,4294967301,'child_0/loop_0','loop',1,1,'completed',NULL,'["ref",4294967300]',4294967299,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000517,4294967302,'child_0','child_workflow',1,1,'completed',NULL,'["ref",4294967300]',4294967299,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000517,4294967303,'left||right::left','fork_branch',1,1,'completed',NULL,'["ref",4294967300]',4294967299,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000517,8589934594,'right','task',1,1,'completed','{"last":{"first":{"n":1,"text":"ä €"}}}',NULL,1,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000518,1,'first','task',1,1,'completed','{"first":{"n":1,"text":"ä €"}}',NULL,0,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000518,2,'left||right','fork',1,1,'completed',NULL,'["fork",{"left":4294967300,"right":8589934594}]',1,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000518,3,'join','task',1,1,'completed','{"first":{"left":{"first":{"n":1,"text":"ä €"},"turns":3},"right":{"last":{"first":{"n":1,"text":"ä €"}}}}}',NULL,2,NULL,'kept',1750000000000000,1750000000000000,0,'branch_0::key_fn');
INSERT INTO "sayiir_results" VALUES(1792000000000000518,4,'branch_0::key_fn','task',1,1,'completed','"a"',NULL,3,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000518,5,'in_route','task',1,1,'completed','{"last":{"first":{"left":{"first":{"n":1,"text":"ä €"},"turns":3},"right":{"last":{"first":{"n":1,"text":"ä €"}}}}}}',NULL,3,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000518,6,'branch_0','branch',1,1,'completed',NULL,'["route","a",5]',3,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000518,7,'go','await_signal',1,1,'completed','"bad"',NULL,6,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000518,8,'rest','delay',1,1,'completed',NULL,'["ref",7]',7,NULL,'kept',1750000000000000,1750003601000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000518,9,'fails','task',1,1,'failed',NULL,NULL,7,'{"error_type":"ValueError","message":"a bad payload","task_id":"fails","node_id":"fails","attempts":1,"traceback":"Traceback (most recent call last):\n  File \"tests/upgrade/flows.py\", line 25, in fails\n    raise ValueError(\"a bad payload\")\nValueError: a bad payload\n","code":"task_failed","details":{}}','kept',1750003601000000,1750003601000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000518,4294967298,'child_0/turn','task',1,1,'completed','{"first":{"n":1,"text":"ä €"},"turns":1}',NULL,1,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000518,4294967299,'child_0/turn','task',2,1,'completed','{"first":{"n":1,"text":"ä €"},"turns":2}',NULL,4294967298,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000518,4294967300,'child_0/turn','task',3,1,'completed','{"first":{"n":1,"text":"ä €"},"turns":3}',NULL,4294967299,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000518,4294967301,'child_0/loop_0','loop',1,1,'completed',NULL,'["ref",4294967300]',4294967299,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000518,4294967302,'child_0','child_workflow',1,1,'completed',NULL,'["ref",4294967300]',4294967299,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000518,4294967303,'left||right::left','fork_branch',1,1,'completed',NULL,'["ref",4294967300]',4294967299,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000518,8589934594,'right','task',1,1,'completed','{"last":{"first":{"n":1,"text":"ä €"}}}',NULL,1,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000519,1,'first','task',1,1,'completed','{"first":{"n":1,"text":"ä €"}}',NULL,0,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000519,2,'left||right','fork',1,1,'completed',NULL,'["fork",{"left":4294967300,"right":8589934594}]',1,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000519,3,'join','task',1,1,'completed','{"first":{"left":{"first":{"n":1,"text":"ä €"},"turns":3},"right":{"last":{"first":{"n":1,"text":"ä €"}}}}}',NULL,2,NULL,'kept',1750000000000000,1750000000000000,0,'branch_0::key_fn');
INSERT INTO "sayiir_results" VALUES(1792000000000000519,4,'branch_0::key_fn','task',1,1,'completed','"a"',NULL,3,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000519,5,'in_route','task',1,1,'completed','{"last":{"first":{"left":{"first":{"n":1,"text":"ä €"},"turns":3},"right":{"last":{"first":{"n":1,"text":"ä €"}}}}}}',NULL,3,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000519,6,'branch_0','branch',1,1,'completed',NULL,'["route","a",5]',3,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000519,7,'go','await_signal',1,1,'completed','"went"',NULL,6,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000519,8,'rest','delay',1,1,'completed',NULL,'["ref",7]',7,NULL,'kept',1750000000000000,1750003601000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000519,9,'fails','task',1,1,'completed','{"paid":"went"}',NULL,7,NULL,'kept',1750003601000000,1750003601000000,0,'end');
INSERT INTO "sayiir_results" VALUES(1792000000000000519,10,'end','task',1,1,'completed','{"last":{"paid":"went"}}',NULL,9,NULL,'kept',1750003601000000,1750003601000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000519,4294967298,'child_0/turn','task',1,1,'completed','{"first":{"n":1,"text":"ä €"},"turns":1}',NULL,1,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000519,4294967299,'child_0/turn','task',2,1,'completed','{"first":{"n":1,"text":"ä €"},"turns":2}',NULL,4294967298,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000519,4294967300,'child_0/turn','task',3,1,'completed','{"first":{"n":1,"text":"ä €"},"turns":3}',NULL,4294967299,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000519,4294967301,'child_0/loop_0','loop',1,1,'completed',NULL,'["ref",4294967300]',4294967299,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000519,4294967302,'child_0','child_workflow',1,1,'completed',NULL,'["ref",4294967300]',4294967299,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000519,4294967303,'left||right::left','fork_branch',1,1,'completed',NULL,'["ref",4294967300]',4294967299,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
INSERT INTO "sayiir_results" VALUES(1792000000000000519,8589934594,'right','task',1,1,'completed','{"last":{"first":{"n":1,"text":"ä €"}}}',NULL,1,NULL,'kept',1750000000000000,1750000000000000,0,NULL);
CREATE TABLE sayiir_signals (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    instance_id TEXT NOT NULL,
    name TEXT NOT NULL,
    payload NOT NULL,
    dedup_key TEXT,
    sent_at INTEGER NOT NULL,
    consumed_at INTEGER
);
INSERT INTO "sayiir_signals" VALUES(1,'has its signal','go','"went"','1',1750000000000000,NULL);
INSERT INTO "sayiir_signals" VALUES(2,'waits','go','null','1',1750000000000000,1750000000000000);
INSERT INTO "sayiir_signals" VALUES(3,'failed','go','null','1',1750000000000000,1750000000000000);
INSERT INTO "sayiir_signals" VALUES(4,'completed','go','null','1',1750000000000000,1750000000000000);
CREATE TABLE sayiir_tokens (
    instance INTEGER NOT NULL,
    number INTEGER NOT NULL,
    state TEXT NOT NULL,
    node TEXT NOT NULL,
    ref INTEGER NOT NULL,
    step INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    iteration INTEGER NOT NULL,
    crashes INTEGER NOT NULL,
    keys TEXT,
    parent INTEGER,
    due_at INTEGER,
    signal TEXT,
    owner INTEGER,
    epoch INTEGER NOT NULL,
    until INTEGER,
    moved_at INTEGER NOT NULL,
    definition INTEGER NOT NULL,
    tags TEXT NOT NULL,
    priority INTEGER NOT NULL,
    wake_at INTEGER,
    avoid INTEGER,
    requested INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (instance, number)
) WITHOUT ROWID;
INSERT INTO "sayiir_tokens" VALUES(1792000000000000512,0,'ready','first',0,0,1,1,0,NULL,NULL,NULL,NULL,NULL,0,NULL,1750000000000000,1,'',3,1750000000000000,NULL,0);
INSERT INTO "sayiir_tokens" VALUES(1792000000000000513,0,'awaiting','go',6,6,1,1,0,NULL,NULL,NULL,'go',NULL,3,NULL,1750000000000000,1,'',3,NULL,NULL,0);
INSERT INTO "sayiir_tokens" VALUES(1792000000000000514,0,'awaiting','go',6,6,1,1,0,NULL,NULL,NULL,'go',NULL,3,NULL,1750000000000000,1,'',3,1750000000000000,NULL,0);
INSERT INTO "sayiir_tokens" VALUES(1792000000000000515,0,'waiting','rest',7,7,1,1,0,NULL,NULL,1750003600000000,NULL,NULL,4,NULL,1750000000000000,1,'',3,1750003600000000,NULL,0);
INSERT INTO "sayiir_tokens" VALUES(1792000000000000516,0,'awaiting','go',6,6,1,1,0,NULL,NULL,NULL,'go',NULL,3,NULL,1750000000000000,1,'',3,NULL,NULL,0);
CREATE TABLE sayiir_views (
    name TEXT PRIMARY KEY,
    filter TEXT NOT NULL,
    actor TEXT NOT NULL
);
CREATE INDEX sayiir_instances_definition ON sayiir_instances (definition, number);
CREATE INDEX sayiir_instances_failed ON sayiir_instances (number) WHERE error IS NOT NULL;
CREATE INDEX sayiir_instances_cancelled ON sayiir_instances (number) WHERE halted IS NOT NULL AND error IS NULL;
CREATE INDEX sayiir_tokens_due ON sayiir_tokens (definition, tags, priority, wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX sayiir_tokens_awaiting ON sayiir_tokens (instance, number) WHERE signal IS NOT NULL;
CREATE INDEX sayiir_signals_waiting ON sayiir_signals (instance_id, name, id) WHERE consumed_at IS NULL;
CREATE UNIQUE INDEX sayiir_signals_dedup ON sayiir_signals (instance_id, name, dedup_key) WHERE dedup_key IS NOT NULL;
CREATE INDEX sayiir_audit_target ON sayiir_audit (target, id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('sayiir_owners',1);
INSERT INTO "sqlite_sequence" VALUES('sayiir_signals',4);
COMMIT;
