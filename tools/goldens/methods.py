"""Training-free sparsity methods on the checkpoints of golden/, as hooks on the linears of the Hugging Face models.

Owns golden/methods/: thresholds and vectors in, logits out. Sites are the inputs of linears: qkv, o, upGate, down. A threshold
lies in the middle of the widest gap near the quantile that was asked for, block after block, so that no rounding decides
what is kept; `calibrated` beside it is what the method's own rule makes of the dense run, for whoever calibrates. Formulas: TEAL
2408.14690, CATS 2404.08763, CHESS 2409.01366, WINA 2505.19427, R-Sparse 2504.19449, CETT 2402.03804, predictors 2310.17157 and
2312.12456, SparseInfer 2411.12692, reuse 2310.04564, hard shrink of RWKV 2501.16337.
"""

import json

import torch
from safetensors.torch import save_file

from checkpoints import WIDTH, FFN, adapt, ffn_of, input_ids, layers_of, make_model, seed_of

RWKV_KEEPS = {
    "keep": {"att.key": 0.7, "att.rec": 0.6, "att.val": 0.7, "att.out": 0.6, "ffn.rec": 0.7, "ffn.key": 0.6, "ffn.val": 0.3}
}

# folder -> (method, checkpoint, options)
CASES = {
    "llama-silu-teal": ("teal", "llama-silu", {"sparsity": 0.4}),
    "opt-gelu-untied-teal": ("teal", "opt-gelu-untied", {"sparsity": 0.4}),
    "falcon-7b-shape-teal": ("teal", "falcon-7b-shape", {"sparsity": 0.4}),
    "llama-silu-cats": ("cats", "llama-silu", {"sparsity": 0.5}),
    "llama-silu-chess": ("chess", "llama-silu", {"sparsity": 0.5, "attention": True, "kappa": "rms"}),
    "llama-silu-chess-ffn": ("chess", "llama-silu", {"sparsity": 0.5, "attention": False, "kappa": "mean"}),
    "llama-silu-wina": ("wina", "llama-silu", {"sparsity": 0.4}),
    "opt-pre-norm-wina": ("wina", "opt-pre-norm", {"sparsity": 0.4}),
    "llama-silu-r-sparse": ("r-sparse", "llama-silu", {"sparsity": 0.5, "score": "magnitude", "rank": 4}),
    "llama-relu-r-sparse": ("r-sparse", "llama-relu", {"sparsity": 0.5, "score": "magnitude", "rank": 4}),
    "falcon-40b-shape-r-sparse": ("r-sparse", "falcon-40b-shape", {"sparsity": 0.5, "score": "scaled", "rank": 4}),
    "llama-silu-cett": ("cett", "llama-silu", {"target": 0.2}),
    "opt-gelu-untied-cett": ("cett", "opt-gelu-untied", {"target": 0.2}),
    "llama-relu-topk": ("topk", "llama-relu", {"k": 19}),
    "falcon-40b-shape-topk": ("topk", "falcon-40b-shape", {"k": 19}),
    "rwkv-hard-shrink": ("hard-shrink", "zoo/rwkv", RWKV_KEEPS),
    "llama-relu-sparseinfer": ("sparseinfer", "llama-relu", {"alpha": [110, 100, 90]}),
    "llama-relu-reuse": ("reuse", "llama-relu", {"prompt": 4, "gamma": 4}),
    "opt-pre-norm-predictor": ("predictor", "opt-pre-norm", {"rank": 4, "between": "none"}),
    "llama-relu-predictor-relu": ("predictor", "llama-relu", {"rank": 4, "between": "relu"}),
}


def make(folder):
    for name, (method, checkpoint, options) in CASES.items():
        (folder / name).mkdir(parents=True)
        Run(name, method, checkpoint, options).write(folder / name)
    (folder / "units.json").write_text(json.dumps({"rSparseBudget": [budget(*sizes) for sizes in BUDGETS]}, indent=1) + "\n")


BUDGETS = [
    (4096, 4096, 0.5, 0.95), (4096, 4096, 0.5, 0.7), (11008, 4096, 0.5, 0.7), (4096, 14336, 0.5, 0.9), (4096, 4096, 0.4, 0.7),
    (576, 192, 0.5, 0.9), (1536, 576, 0.5, 0.9),
]


def budget(inputs, outputs, sparsity, rho):
    """Of R-Sparse: channels computed exactly, the quantile of their threshold, the rank that is left for the others."""
    k = max(1, int(inputs * (1 - sparsity) * rho))
    rank = max(1, int((inputs * outputs * (1 - sparsity) - k * outputs) / (inputs + outputs)))
    return {"dIn": inputs, "dOut": outputs, "sparsity": sparsity, "rho": rho, "k": k, "quantile": 1 - (1 - sparsity) * rho, "rank": rank}


def attention_of(layer):
    """(linears that read the block's input, the output projection)."""
    attention = getattr(layer, "self_attn", None) or layer.self_attention
    if hasattr(attention, "query_key_value"):
        return {"qkv": attention.query_key_value}, attention.dense
    linears = {"q": attention.q_proj, "k": attention.k_proj, "v": attention.v_proj}
    return linears, getattr(attention, "o_proj", None) or attention.out_proj


def linears_of(layer):
    """Site -> its linears by role."""
    first, out = attention_of(layer)
    gate, up, down = ffn_of(layer)
    return {
        "qkv": first,
        "o": {"o": out},
        "upGate": {**({"gate": gate} if gate is not None else {}), "up": up},
        "down": {"down": down},
    }


class Run:
    """One method on one checkpoint: hooks are set block after block, each fitted to what the sparse run before it meets."""

    def __init__(self, name, method, checkpoint, options):
        self.name, self.method, self.checkpoint, self.options = name, method, checkpoint, options
        self.model = make_model(checkpoint)
        adapt(checkpoint, self.model)
        self.ids = input_ids(checkpoint)
        self.layers = layers_of(self.model)
        self.seen = {}
        hooks = [module.register_forward_hook(self.remember) for module in self.model.modules() if not list(module.children())]
        self.dense = self.logits()
        for hook in hooks:
            hook.remove()
        self.described = [{} for _ in self.layers]
        self.vectors = {}
        self.negative = []
        self.kept = [{} for _ in self.layers]
        self.generator = torch.Generator().manual_seed(seed_of(name))

    def logits(self):
        with torch.no_grad():
            return self.model(self.ids, use_cache=False).logits[0]

    def remember(self, module, args, out):
        """What every part is given and gives in the dense run, which calibration looks at: [tokens, width]."""
        if args and isinstance(out, torch.Tensor):
            self.seen[module] = [one.detach().reshape(-1, one.shape[-1]) for one in (args[0], out)]

    def inputs_of(self, module, of_output=False):
        """What one module is given (or gives) in a run with the hooks set so far: [tokens, width]."""
        seen = []
        hook = (
            module.register_forward_hook(lambda _, __, out: seen.append(out.detach()))
            if of_output
            else module.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach()))
        )
        self.logits()
        hook.remove()
        return seen[0].reshape(-1, seen[0].shape[-1])

    def mask_inputs(self, index, counted, linears, keep):
        """Zeroes what `keep` does not keep of the inputs of these linears, and counts what is left."""

        def hook(_, args):
            mask = keep(args[0])
            self.kept[index][counted] = mask.reshape(-1, mask.shape[-1]).sum(1)
            return (args[0] * mask, *args[1:])

        for linear in linears:
            linear.register_forward_pre_hook(hook)

    def write(self, folder):
        for index, layer in enumerate(self.layers):
            getattr(self, self.method.replace("-", "_"))(index, layer)
        logits = self.logits()
        counted = list(self.kept[0])
        widths = {"neurons": FFN, "down": FFN, "ffn.val": FFN, "att.out": getattr(self.model.config, "attention_hidden_size", WIDTH)}
        kept = torch.stack([torch.stack([layer[site] for site in counted]) for layer in self.kept])
        nll = losses(logits, self.ids[0])
        change = (logits - self.dense).norm() / self.dense.norm()
        density = [
            {site: round(float(layer[site].float().mean()) / widths.get(site, WIDTH), 6) for site in counted}
            for layer in self.kept
        ]
        content = {
            "method": self.method, "model": self.checkpoint, "tokens": self.ids.shape[1], "options": self.options,
            "layers": self.described,
            "measured": {
                "counted": counted, "density": density, "meanNll": round(float(nll.mean()), 6),
                "denseMeanNll": round(float(losses(self.dense, self.ids[0]).mean()), 6),
                "changeOfLogits": round(float(change), 6),
            },
        }
        (folder / "method.json").write_text(json.dumps(content, indent=1) + "\n")
        golden = {"logits": logits, "nll": nll, "input_ids": self.ids[0].int(), "kept": kept.int()}
        if self.negative:
            golden["negative"] = torch.stack(self.negative[-len(self.layers) :]).int()
        save_file({key: value.contiguous() for key, value in golden.items()}, folder / "golden.safetensors")
        if self.vectors:
            save_file({key: value.contiguous() for key, value in self.vectors.items()}, folder / "method.safetensors")

    def vector(self, index, name, values):
        key = f"layers.{index}.{name}"
        self.vectors[key] = values.float().clone()
        return key

    # ---- the methods, a block each

    def teal(self, index, layer):
        for site, linears in linears_of(layer).items():
            first = next(iter(linears.values()))
            threshold = gap_near(self.inputs_of(first).abs(), self.options["sparsity"])
            calibrated = quantile(self.seen[first][0].abs(), self.options["sparsity"])
            self.described[index][site] = {"threshold": threshold, "calibrated": calibrated}
            self.mask_inputs(index, site, linears.values(), lambda x, t=threshold: x.abs() > t)

    def hard_shrink(self, index, layer):
        attention, ffn = layer.attention, layer.feed_forward
        sites = {
            "att.key": attention.key, "att.rec": attention.receptance, "att.val": attention.value, "att.out": attention.output,
            "ffn.rec": ffn.receptance, "ffn.key": ffn.key, "ffn.val": ffn.value,
        }
        for site, linear in sites.items():
            left_out = 1 - self.options["keep"][site]
            threshold = gap_near(self.inputs_of(linear).abs(), left_out)
            calibrated = torch.quantile(self.seen[linear][0].abs().double(), left_out, dim=1).mean()
            self.described[index][site] = {"threshold": threshold, "calibrated": float(calibrated.float())}
            self.mask_inputs(index, site, [linear], lambda x, t=threshold: x.abs() > t)

    def wina(self, index, layer):
        for site, linears in linears_of(layer).items():
            weights = torch.cat([linear.weight.detach() for linear in linears.values()])
            norms = weights.norm(dim=0)
            width = norms.shape[0]
            k = int((1 - self.options["sparsity"]) * width + 0.5)
            self.described[index][site] = {"k": k, "width": width, "norms": self.vector(index, f"{site}.norm", norms)}
            self.mask_inputs(index, site, linears.values(), lambda x, k=k, n=norms: largest(x.abs() * n, k))

    def topk(self, index, layer):
        down = ffn_of(layer)[2]
        k = self.options["k"]
        self.described[index]["down"] = {"k": k, "width": FFN}
        self.mask_inputs(index, "neurons", [down], lambda h: largest(h.abs(), k))

    def cett(self, index, layer):
        down = ffn_of(layer)[2]
        norms = down.weight.detach().norm(dim=0)
        dense = self.seen[down][0]
        calibrated = largest_within(dense, down.weight.detach(), norms, self.options["target"])
        share = float((dense.abs() * norms < calibrated).double().mean())
        threshold = gap_near(self.inputs_of(down).abs() * norms, share)
        self.described[index]["down"] = {
            "threshold": threshold, "calibrated": calibrated, "norms": self.vector(index, "down.norm", norms),
        }
        self.mask_inputs(index, "neurons", [down], lambda h: h.abs() * norms >= threshold)

    def cats(self, index, layer):
        threshold = gap_near(self.inputs_of(layer.mlp.act_fn, of_output=True).abs(), self.options["sparsity"])
        calibrated = quantile(self.seen[layer.mlp.act_fn][1].abs(), self.options["sparsity"])
        self.described[index]["gate"] = {"threshold": threshold, "calibrated": calibrated}
        self.mask_neurons(index, layer, lambda a: a.abs() > threshold)

    def chess(self, index, layer):
        first, out = attention_of(layer)
        sparsity = self.options["sparsity"]
        for place, linear in (("q", first["q"]), ("o", out)) if self.options["attention"] else ():
            threshold = gap_near(self.inputs_of(linear).abs(), sparsity)
            calibrated = quantile(self.seen[linear][0].abs(), sparsity)
            self.described[index][place] = {"threshold": threshold, "calibrated": calibrated}
            self.mask_inputs(index, place, [linear], lambda x, t=threshold: x.abs() > t)
        up, act = self.seen[layer.mlp.up_proj][1], self.seen[layer.mlp.act_fn][1].abs()
        kappa = up.square().mean(0).sqrt() if self.options["kappa"] == "rms" else up.abs().mean(0)
        tau = gap_near(self.inputs_of(layer.mlp.act_fn, of_output=True).abs() * kappa, sparsity)
        thresholds = tau / kappa
        self.described[index]["gate"] = {
            "tau": tau, "calibratedTau": quantile(act * kappa, sparsity), "kappa": self.vector(index, "gate.kappa", kappa),
            "thresholds": self.vector(index, "gate.threshold", thresholds),
        }
        self.mask_neurons(index, layer, lambda a: a.abs() > thresholds)

    def mask_neurons(self, index, layer, keep):
        def hook(_, __, out):
            mask = keep(out)
            self.kept[index]["neurons"] = mask.reshape(-1, mask.shape[-1]).sum(1)
            return out * mask

        layer.mlp.act_fn.register_forward_hook(hook)

    def predictor(self, index, layer):
        gate, up, down = ffn_of(layer)
        rank = self.options["rank"]
        first = torch.randn(rank, WIDTH, generator=self.generator) / WIDTH**0.5
        second = torch.randn(FFN, rank, generator=self.generator) / rank**0.5
        between = torch.relu if self.options["between"] == "relu" else (lambda x: x)
        self.described[index]["predictor"] = {
            "w1": self.vector(index, "predictor.w1", first), "w2": self.vector(index, "predictor.w2", second),
            "rank": rank, "between": self.options["between"],
        }
        seen = {}
        (gate if gate is not None else up).register_forward_pre_hook(lambda _, args: seen.update(x=args[0]))
        self.mask_inputs(
            index, "neurons", [down],
            lambda h: (between(seen["x"] @ first.T) @ second.T > 0).reshape(h.shape),
        )

    def sparseinfer(self, index, layer):
        gate, _, down = ffn_of(layer)
        alpha = self.options["alpha"][index]
        self.described[index]["gate"] = {"alpha": alpha}
        signs = (gate.weight.detach() < 0).float()
        seen = {}

        def count(_, args):
            x = (args[0].reshape(-1, args[0].shape[-1]) < 0).float()
            # 1 where the bits differ: of both, less twice where both are set
            seen["negative"] = (x.sum(1, keepdim=True) + signs.sum(1) - 2 * x @ signs.T).round()
            self.negative.append(seen["negative"])

        gate.register_forward_pre_hook(count)
        self.mask_inputs(
            index, "neurons", [down],
            lambda h: (100 * seen["negative"] <= alpha * (WIDTH - seen["negative"])).reshape(h.shape),
        )

    def reuse(self, index, layer):
        prompt, gamma = self.options["prompt"], self.options["gamma"]
        tokens = self.ids.shape[1]
        # prompt tokens as they are, then gamma that load, gamma that reuse, and so on
        phases = ["dense" if t < prompt else "reuse" if (t - prompt) // gamma % 2 else "load" for t in range(tokens)]

        def hook(_, args):
            h = args[0].reshape(tokens, -1)
            mask, loaded = torch.ones_like(h, dtype=torch.bool), torch.zeros(FFN, dtype=torch.bool)
            for t, phase in enumerate(phases):
                if phase == "load":
                    loaded = (loaded if phases[t - 1] == "load" else torch.zeros_like(loaded)) | (h[t] != 0)
                elif phase == "reuse":
                    mask[t] = loaded
            self.kept[index]["neurons"] = mask.sum(1)
            return (args[0] * mask.reshape(args[0].shape), *args[1:])

        ffn_of(layer)[2].register_forward_pre_hook(hook)

    def r_sparse(self, index, layer):
        rank, sparsity = self.options["rank"], self.options["sparsity"]
        scaled = self.options["score"] == "scaled"
        for site, linears in linears_of(layer).items():
            shared = gap_near(self.inputs_of(next(iter(linears.values()))).abs(), sparsity)
            for role, linear in linears.items():
                u, s, v = torch.linalg.svd(linear.weight.detach().double(), full_matrices=False)
                left, right = (u[:, :rank] * s[:rank]).float(), v[:rank].float()
                norms = linear.weight.detach().norm(dim=0) if scaled else 1.0
                # one threshold and one mask a linear (the released code), or a site (the paper)
                threshold = gap_near(self.inputs_of(linear).abs() * norms, sparsity) if scaled else shared
                self.described[index][role] = {
                    "site": site, "threshold": threshold, "rank": rank,
                    "left": self.vector(index, f"{role}.left", left), "right": self.vector(index, f"{role}.right", right),
                    **({"norms": self.vector(index, f"{role}.norm", norms)} if scaled else {}),
                }
                counted = role if scaled else site
                linear.register_forward_pre_hook(self.keep_for_low_rank(index, counted, threshold, norms))
                linear.register_forward_hook(add_low_rank(left, right, threshold))

    def keep_for_low_rank(self, index, counted, threshold, norms):
        def hook(module, args):
            mask = args[0].abs() * norms > threshold
            self.kept[index][counted] = mask.reshape(-1, mask.shape[-1]).sum(1)
            module.remainder = args[0] * ~mask
            return (args[0] * mask, *args[1:])

        return hook


def add_low_rank(left, right, threshold):
    return lambda module, _, out: out + (module.remainder @ right.T) @ left.T


def losses(logits, ids):
    return torch.nn.functional.cross_entropy(logits[:-1], ids[1:], reduction="none")


def largest(scores, k):
    """The k largest of each token; of equal ones the first."""
    order = torch.sort(scores, dim=-1, descending=True, stable=True).indices[..., :k]
    return torch.zeros_like(scores, dtype=torch.bool).scatter(-1, order, True)


def gap_near(scores, sparsity):
    """A threshold that leaves out about so many: the middle of the widest relative gap within 2 % of the ranks."""
    ordered = scores.flatten().double().sort().values
    count = ordered.numel()
    middle, around = int(count * sparsity), max(2, int(count * 0.02))
    low, high = max(1, middle - around), min(count - 1, middle + around)
    gaps = (ordered[low : high + 1] - ordered[low - 1 : high]) / ordered[low : high + 1].clamp_min(1e-12)
    at = low + int(gaps.argmax())
    return float(((ordered[at - 1] + ordered[at]) / 2).float())


def quantile(scores, sparsity):
    """The k-th smallest, k = floor(N s); 0 when k = 0. What is above it is kept."""
    k = int(scores.numel() * sparsity + 1e-9)
    return float(scores.flatten().sort().values[k - 1]) if k > 0 else 0.0


def largest_within(h, weight, norms, target, steps=65536):
    """CETT's threshold: the largest of equal steps up to the .99 quantile of the scores at which what is left out is, of each
    token's output and in the mean over tokens, at most the target."""
    scores = (h.abs() * norms).double()
    ordered = scores.flatten().sort().values
    grid = torch.linspace(float(ordered[0]), float(torch.quantile(ordered, 0.99)), steps, dtype=torch.float64)
    whole = (h.double() @ weight.double().T).norm(dim=1)
    lost = lambda bar: float(((h.double() * (scores < bar)) @ weight.double().T).norm(dim=1).div(whole).mean())
    # between two scores the same is left out
    below = torch.searchsorted(ordered, grid)
    fits = {int(count): lost(ordered[count] if count < ordered.numel() else torch.inf) <= target for count in below.unique()}
    return float(grid[[at for at, count in enumerate(below.tolist()) if fits[count]][-1]])
