"""The story of the demonstration: two hospitals publish, a national hub finds and fetches, on signed consent."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from xdsi import app, settings
from xdsi.actors.imaging_document_consumer import ImagingDocumentConsumer
from xdsi.actors.manifest_publisher import ManifestPublisher, Published
from xdsi.cli.command import Result, Terminal
from xdsi.cli.demo import attacks, auditing, consuming, network, patients, publishing, refusals, studies
from xdsi.cli.demo.network import Network
from xdsi.cli.demo.steps import Steps


@dataclass(slots=True)
class Stage:
    """Who plays, and what has happened so far."""

    out: Path
    terminal: Terminal
    network: Network
    steps: Steps
    images: studies.DemoStudies
    parts: dict[str, app.Parts] = field(default_factory=dict)
    published: dict[str, Published] = field(default_factory=dict)
    """by the slug of the study"""
    consents: dict[str, str] = field(default_factory=dict)
    """entryUUID by the letter of the patient"""

    def node(self, name: str) -> app.Parts:
        """A node's own clients: publisher, consumer, audit trail."""
        if name not in self.parts:
            self.parts[name] = app.Parts(settings.load(self.network.settings_file(name), {}))
        return self.parts[name]

    def publisher(self, hospital: studies.Hospital) -> ManifestPublisher:
        """A hospital's publisher."""
        return self.node(hospital.slug).publisher

    @property
    def consumer(self) -> ImagingDocumentConsumer:
        """The national consumer with a valid assertion."""
        return self.node("consumer").consumer

    def consumer_with(self, assertion: bytes) -> ImagingDocumentConsumer:
        """The same with another assertion, or none."""
        consumer = self.consumer
        return replace(consumer, client=replace(consumer.client, assertion=assertion))


def play(out: Path, terminal: Terminal, *, keep: bool) -> Result:
    """Play everything; the result is ok when every step came as expected."""
    began = time.monotonic()
    net = network.build(out)
    steps = Steps(terminal, out, tuple(net.data(node) / "recorded" for node in ("hub", "hospital-a", "hospital-b")))
    try:
        with terminal.progress() as progress:
            task = progress.add_task("making studies and starting servers", total=4)
            images = studies.prepare(out / "data")
            progress.advance(task)
            for node in ("hub", "hospital-a", "hospital-b"):
                net.start(node)
            for node in ("hub", "hospital-a", "hospital-b"):
                net.wait(node)
                progress.advance(task)
        stage = Stage(out, terminal, net, steps, images)
        (out / "assertions" / "radiologist.xml").write_bytes(attacks.assertion(net))
        forwarder = stage.node("consumer").forwarder(f"tls://127.0.0.1:{net.ports['syslog']}")
        forwarder.start()
        _introduce(stage)
        patients.announce(stage)
        publishing.publish(stage)
        publishing.consent(stage)
        consuming.find_and_fetch(stage)
        consuming.revoke(stage)
        refusals.refuse(stage)
        publishing.late_images(stage)
        refusals.altered_document(stage)
        auditing.audit(stage)
        forwarder.stop()
        for parts in stage.parts.values():
            parts.trail.close()
        messages = steps.collect_messages()
        ok = steps.summary()
        seconds = time.monotonic() - began
        terminal.say(
            f"{len(steps.done)} steps in {seconds:.0f} s; "
            f"{messages} messages, the audit trail and the images lie in {out}/"
        )
        if keep:
            _stay(stage)
    finally:
        net.stop()
    rows = json.loads((out / "summary.json").read_text("utf-8"))
    return Result(ok=ok, items=rows, message="" if ok else "not everything came as expected")


def _introduce(stage: Stage) -> None:
    say = stage.terminal.say
    say("Two hospitals publish, a national hub finds and fetches, on signed consent.")
    for node, what in (
        ("hub", "registry, repository, identities, consent decisions, audit"),
        ("hospital-a", "imaging source; publishes to the hub's repository"),
        ("hospital-b", "imaging source with a repository of its own"),
    ):
        say(f"  {node:<11} https://127.0.0.1:{stage.network.ports[node]}  {what}")
    total = sum(study.total_bytes for study in stage.images.studies)
    instances = sum(study.instances for study in stage.images.studies)
    say(f"  {len(stage.images.studies)} studies, {instances} instances, {total / 1e6:.0f} MB of real images")


def _stay(stage: Stage) -> None:
    config = stage.network.settings_file("consumer")
    say = stage.terminal.say
    patient = studies.PATIENT_A.domain_id.cx
    say("\nThe servers keep running. Try, in another terminal:")
    say(f"  .venv/bin/xdsi --config {config} find '{patient}'")
    say(f"  .venv/bin/xdsi --config {config} fetch {stage.published['a-mr-head'].unique_id} --out fetched")
    say(f"  .venv/bin/xdsi --config {stage.network.settings_file('hub')} audit search --patient '{patient}'")
    say(f"  .venv/bin/xdsi --config {stage.network.settings_file('hub')} explain TRACE")
    say("The assertion is valid for 30 minutes. Press Ctrl-C to stop.")
    try:
        while all(process.poll() is None for process in stage.network.processes.values()):
            time.sleep(0.5)
    except KeyboardInterrupt:
        say("stopping")
