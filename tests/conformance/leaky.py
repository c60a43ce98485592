"""Methods whose logits depend on more than their image, or that open a file."""

from tests.conformance.template import Mutant, around

LEAKY = {
    "standardises_over_batch": Mutant(
        "check_alone",
        "they depend on the other images of their batch",
        around("pass", "        z = self.net(x)\n        return (z - z.mean()) / (z.std() + 1e-6)"),
    ),
    "no_running_statistics": Mutant(
        "check_alone",
        "they depend on the other images of their batch",
        around(
            "self.norm = nn.BatchNorm2d(3, affine=False, track_running_stats=False)",
            "        return self.net(self.norm(x))",
        ),
    ),
    "normalises_vectors_of_a_batch": Mutant(
        "check_alone",
        "images of test alone: ValueError: Expected more than 1 value per channel",
        around(
            "self.norm = nn.BatchNorm1d(1, track_running_stats=False)",
            "        return self.norm(self.net(x)[:, None])[:, 0]",
        ),
    ),
    "counts_calls": Mutant(
        "check_alone",
        "they depend on earlier calls, or on random numbers: a second call",
        around("self.calls = 0", "        self.calls += 1\n        return self.net(x) + 0.01 * self.calls"),
    ),
    "adapts_while_it_predicts": Mutant(
        "check_alone",
        "they depend on earlier calls: predicting changes the buffer centre",
        around(
            'self.register_buffer("centre", torch.zeros(()))',
            "        z = self.net(x)\n        self.centre.lerp_(z.mean(), 0.1)\n        return z - self.centre",
        ),
    ),
    "opens_a_file": Mutant(
        "check_files",
        "opens_a_file.json",
        {"        return": '        open(__file__.replace(".py", ".json"), "a").close()\n        return'},
    ),
}
