"""Run by tools-docker-py.test.ts, with DOCKER_HOST. What the users of Docker's client for Python write."""

import io
import json
import tarfile
import unittest

import docker
from docker.errors import APIError, ContainerError, ImageNotFound, NotFound

client = docker.from_env()
HOST_USR = {"network_mode": "none", "volumes": {"/usr": {"bind": "/usr", "mode": "ro"}}}


def shell(script):
    return ["/bin/sh", "-c", script]


def tar_of(files):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return archive.getvalue()


class DockerPy(unittest.TestCase):
    def container(self, script, **options):
        """Runs until the test is over."""
        container = client.containers.run("host-usr", shell(script), detach=True, **{**HOST_USR, **options})
        self.addCleanup(lambda: container.remove(force=True, v=True))
        return container

    def test_version_and_info(self):
        self.assertTrue(client.ping())
        self.assertEqual(client.version()["Os"], "linux")
        self.assertEqual(client.info()["OSType"], "linux")

    def test_run_gives_the_output_or_raises(self):
        self.assertEqual(client.containers.run("host-usr", shell("echo out"), remove=True, **HOST_USR), b"out\n")
        with self.assertRaises(ContainerError) as failed:
            client.containers.run("host-usr", shell("echo err >&2; exit 3"), remove=True, **HOST_USR)
        self.assertEqual((failed.exception.exit_status, failed.exception.stderr), (3, b"err\n"))
        with self.assertRaises(APIError):  # it is not there, and no registry is reached
            client.containers.run("127.0.0.1:1/none/such", remove=True)

    def test_an_image_is_built_by_either_builder(self):
        dockerfile = b"FROM host-usr\nCOPY file /file\nLABEL of=docker-py\n"
        context = tar_of({"Dockerfile": dockerfile, "file": b"built\n"})
        image, said = client.images.build(fileobj=io.BytesIO(context), custom_context=True, tag="py:1", rm=True)
        self.assertEqual(image.labels, {"of": "docker-py"})
        self.assertIn("Step 2/3 : COPY file /file", "".join(line.get("stream", "") for line in said))
        url, params = client.api._url("/build"), {"version": "2", "t": "py:2"}
        answer = client.api._post(url, data=context, params=params, headers={"Content-Type": "application/x-tar"})
        lines = [json.loads(line) for line in answer.text.splitlines()]
        self.assertIn("moby.buildkit.trace", [line.get("id") for line in lines])
        self.assertEqual(lines[-1]["aux"]["ID"], client.images.get("py:2").id)
        for name in ("py:1", "py:2"):
            client.images.remove(name)

    def test_life_of_a_container(self):
        script = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.01; done"
        container = self.container(script, name="py", labels={"a": "b"})
        self.assertEqual(next(container.logs(stream=True)), b"ready\n")  # before that the signal means nothing to it
        self.assertEqual([each.name for each in client.containers.list(filters={"label": "a=b"})], ["py"])
        container.pause()
        container.reload()
        self.assertEqual(container.status, "paused")
        container.unpause()
        container.rename("renamed")
        self.assertEqual(client.containers.get("renamed").id, container.id)
        container.update(cpu_shares=512)
        container.reload()
        self.assertEqual(container.attrs["HostConfig"]["CpuShares"], 512)
        container.stop()
        self.assertEqual(container.wait()["StatusCode"], 9)
        container.start()
        container.kill()
        self.assertEqual(container.wait()["StatusCode"], 137)
        with self.assertRaises(NotFound):
            client.containers.get("nonesuch")

    def test_exec(self):
        container = self.container("exec sleep 1000")
        code, (out, err) = container.exec_run(shell("echo out; echo err >&2; exit 4"), demux=True)
        self.assertEqual((code, out, err), (4, b"out\n", b"err\n"))
        code, out = container.exec_run("id -u", user="user", workdir="/etc", environment={"A": "b"})
        self.assertEqual((code, out), (0, b"1000\n"))
        _, chunks = container.exec_run(shell("echo one; echo two"), stream=True)
        self.assertEqual(b"".join(chunks), b"one\ntwo\n")
        _, socket = container.exec_run("cat", stdin=True, socket=True)
        raw = socket._sock  # as docker-py's users have to
        raw.sendall(b"through\n")
        raw.shutdown(1)
        received = b""
        while chunk := raw.recv(4096):
            received += chunk
        socket.close()
        self.assertEqual(received, b"\1\0\0\0\0\0\0\x08through\n")

    def test_logs_and_attach(self):
        container = self.container("echo one; read go; echo two", stdin_open=True)
        lines = container.logs(stream=True, follow=True)
        self.assertEqual(next(lines), b"one\n")
        output = container.attach(stream=True)
        stdin = container.attach_socket(params={"stdin": 1, "stream": 1})
        stdin._sock.sendall(b"\n")
        self.assertEqual(next(lines), b"two\n")
        self.assertEqual(b"".join(output), b"two\n")
        stdin.close()
        self.assertEqual(container.wait()["StatusCode"], 0)
        self.assertEqual(container.logs(tail=1), b"two\n")

    def test_stats_and_top(self):
        container = self.container("exec sleep 1000")
        self.assertGreater(container.stats(stream=False)["memory_stats"]["usage"], 0)
        self.assertEqual(next(container.stats(decode=True))["id"], container.id)
        self.assertEqual(container.top(ps_args="-o pid,comm")["Processes"][0][1], "sleep")

    def test_events(self):
        container = client.containers.create("host-usr", shell("exit 0"), name="eventful", **HOST_USR)
        self.addCleanup(container.remove)
        events = client.events(decode=True, since=0, filters={"container": "eventful"})
        self.assertEqual(next(events)["Action"], "create")
        container.start()
        self.assertEqual([next(events)["Action"], next(events)["Action"]], ["start", "die"])
        events.close()

    def test_archives(self):
        container = self.container("exec sleep 1000")
        self.assertTrue(container.put_archive("/etc", tar_of({"put/file": b"content\n"})))
        chunks, stat = container.get_archive("/etc/put/file")
        self.assertEqual((stat["name"], stat["size"]), ("file", 8))
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
            self.assertEqual(tar.extractfile("file").read(), b"content\n")
        self.assertIn({"Path": "/etc/put/file", "Kind": 1}, container.diff())
        with tarfile.open(fileobj=io.BytesIO(b"".join(container.export()))) as tar:
            self.assertEqual(tar.extractfile("etc/put/file").read(), b"content\n")
        with self.assertRaises(NotFound):
            container.get_archive("/nonesuch")

    def test_volumes(self):
        volume = client.volumes.create("from-python", labels={"of": "python"})
        self.assertEqual([each.name for each in client.volumes.list(filters={"label": "of=python"})], ["from-python"])
        mounts = {**HOST_USR["volumes"], "from-python": {"bind": "/data", "mode": "rw"}}
        options = {**HOST_USR, "volumes": mounts, "remove": True}
        client.containers.run("host-usr", shell("echo kept >/data/file"), **options)
        self.assertEqual(client.containers.run("host-usr", shell("cat /data/file"), **options), b"kept\n")
        volume.remove()
        with self.assertRaises(NotFound):
            client.volumes.get("from-python")

    def test_images(self):
        image = client.images.get("host-usr")
        self.assertTrue(image.tag("python/tagged", tag="1"))
        self.assertEqual(client.images.list("python/tagged")[0].id, image.id)
        image.reload()
        saved = b"".join(image.save(named="python/tagged:1"))
        client.images.remove("python/tagged:1")
        with self.assertRaises(ImageNotFound):
            client.images.get("python/tagged:1")
        self.assertEqual(client.images.load(saved)[0].id, image.id)
        self.assertEqual(len(image.history()), 1)
        client.images.remove("python/tagged:1")
        container = self.container("echo made >/etc/made")
        container.wait()
        committed = container.commit("python/committed", tag="1")
        self.assertEqual(client.images.get("python/committed:1").id, committed.id)
        made = client.containers.run("python/committed:1", shell("cat /etc/made"), remove=True, **HOST_USR)
        self.assertEqual(made, b"made\n")
        client.images.remove("python/committed:1")
        status = json.loads(client.api.import_image_from_data(tar_of({"etc/x": b""}), repository="python/imported", tag="1"))
        self.assertTrue(status["status"].startswith("sha256:"))
        client.images.remove("python/imported:1")


if __name__ == "__main__":
    unittest.main(verbosity=2)
