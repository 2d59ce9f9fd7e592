"""The story of the demonstration: two hospitals publish, a national hub finds and fetches, on signed consent."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType

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
    refused: str = ""
    """trace of the images that hospital B did not give"""

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
    _on_signals(_interrupt)
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
        # However this is ended, the servers end with it.
        _on_signals(signal.SIG_IGN)
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
    say("✔ came as expected; ✘ did not. What must fail is expected to fail.")


def _stay(stage: Stage) -> None:
    say = stage.terminal.say
    patient = studies.PATIENT_A.domain_id.cx
    fetched = f"fetch {stage.published['a-mr-head'].unique_id} --out {stage.out / 'fetched'}"
    program = Path(sys.argv[0])
    xdsi = str(program) if program.name == "xdsi" else f"{sys.executable} -m xdsi"
    say("\nThe servers keep running. Try, in another terminal:")
    for node, command, what in (
        ("consumer", f"find '{patient}'", "what the radiologist may see"),
        ("consumer", fetched, "a manifest and its images"),
        ("hub", f"audit search --patient '{patient}' --limit 5", "who did what"),
        ("hospital-b", f"explain {stage.refused}", "why the images of D were refused"),
    ):
        say(f"  # {what}")
        say(f"  {xdsi} --config {stage.network.settings_file(node)} {command}")
    say("The radiologist's assertion is valid for 30 minutes. Press Ctrl-C to stop.")
    try:
        while all(process.poll() is None for process in stage.network.processes.values()):
            time.sleep(0.5)
        say("a server has ended; the logs are in " + str(stage.out / "data"))
    except KeyboardInterrupt:
        say("stopping")
    say(f"{stage.out}/ stays, with settings, keys and data; the next demonstration makes it anew.")
    say(f"A node can be started again: {xdsi} --config {stage.network.settings_file('hub')} serve")


def _on_signals(act: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, act)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
