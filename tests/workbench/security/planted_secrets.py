"""Secrets of many kinds, made up from parts so that no scanner of this repository takes them for real ones.

`PLANTED` maps a kind to (a line of text that holds it, the part that must be found nowhere).
"""

from __future__ import annotations

_R = "q7Zr2Lw9Xk4Tn8Vb3Mc6Hd1Jf5Gs0Pyu"  # random letters and digits to build tokens of
_HEX = "9f86d081884c7d659a2feaa0c55ad015"


def _line(before: str, secret: str, after: str = "") -> tuple[str, str]:
    return before + secret + after, secret


PLANTED: dict[str, tuple[str, str]] = {
    "AWS access key": _line("using ", "AKIA" + "Q7ZR2LW9XK4TN8VB", " for the bucket"),
    "AWS secret": _line('aws_secret_access_key = "', (_R + "AbCdEfGh12")[:40], '"'),
    "GitHub token": _line("cloned with ", "ghp" + "_" + (_R + "A1b2C3d4")[:36]),
    "GitHub fine-grained": _line("pat ", "github" + "_pat_" + "11ABCDEFG0" + _R),
    "GitLab token": _line("CI: ", "glpat" + "-" + _R[:20]),
    "Slack token": _line("notify ", "xoxb" + "-1234567890-1234567890-" + _R[:24].lower()),
    "Slack webhook": _line("", "https://hooks." + "slack.com/services/T0AB12CD3/B0AB12CD3/" + _R[:24]),
    "Stripe key": _line("pay ", "sk" + "_live_" + _R[:24]),
    "JSON web token": _line("session ", "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0." + _R),
    "Hugging Face token": _line("login ", "hf" + "_" + (_R + "AbCd")[:34]),
    "OpenAI key": _line("", "sk-" + "proj-" + _R + _R[:16]),
    "Google key": _line("maps ", "AIza" + (_R + "A1b2C3d4")[:35]),
    "Databricks token": _line("", "dapi" + _HEX),
    "SendGrid key": _line("mail ", "SG." + _R[:22] + "." + (_R + _R)[:43]),
    "Weights & Biases key": _line("WANDB_API_KEY=", "0123456789abcdef0123456789abcdef01234567"),
    "password": _line("password: ", "hunter-2-of-mine"),
    "password with spaces": _line('db_password = "', "correct horse battery staple", '"'),
    "bearer": _line("Authorization: Bearer ", "opaque." + _R[:20]),
    "address": _line("https://me:", "pa55-w0rd!", "@mlflow.example.org/api"),
    "address of a database": _line("postgresql://runs:", "p@ss/w0rd", "@10.0.0.7:5432/mlflow"),
    "token in an address": _line("https://", "0a1b2c3d4e5f6a7b8c9d", "@git.example.org/me/faces.git"),
    "signed address": _line(
        "https://x.blob.core.windows.net/c/f?sv=2022&sig=", "aB3%2Fq7Zr2Lw9Xk4Tn8Vb3Mc6Hd1%3D"
    ),
    "Azure storage": _line("AccountName=x;AccountKey=", (_R * 3)[:86] + "=="),
    "private key": (
        "-----BEGIN RSA "
        + "PRIVATE KEY-----\nMIIEpAIBAAKCAQEA"
        + _R
        + "\n-----END RSA "
        + "PRIVATE KEY-----",
        "MIIEpAIBAAKCAQEA" + _R,
    ),
    "option": _line("workbench run x.py --api-token ", "zq81-k2m3-77aa"),
    "JSON": _line('{"client_secret": "', "vB8#kd02!mm", '", "epochs": 3}'),
}

# What looks random and must stay, because records are useless without it.
INNOCENT = (
    "commit e4ca5a4b3cf1f0f6d1a5d7d8e6c9b0a1f2e3d4c5",
    "run 20261122T061416Z-fcc82b78 finished, id 0d9f1e2a3b4c",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "data fingerprint 3f1c9a0e5b7d2c4f8a6b1e0d9c8f7a6b (xxh3_128)",
    "mlflow run 5b0c3e5b6f0f4ed2a8f1f6b7c8d9e0f1, experiment 3",
    "TT_ghostnet_prelu_GDC_arc_emb512_dr0_sgd_l2_5e4_bs1024_ms1m_cos16_batch_hist.json",
    "faces_casia_112x112_folders/0000045/001.jpg",
    'tokenizer = "bert-base-uncased"; pad_token="[PAD]"; num_tokens=4096; token_dim: 768',
    "keys=['loss', 'accuracy']; key = lambda row: row.epoch; monkey_patch_level=3",
    "INFO:root:Epoch[3] Batch [12000-12020]\tSpeed: 1093.16 samples/sec acc=0.998437",
    'Saved checkpoint to "../models/r100-arcface-emore/model-0040.params"',
    'password = os.environ["DB_PASSWORD"]',
    "token = args.token or getpass.getpass()",
    "http://127.0.0.1:5000/#/experiments/3/runs?compareRunsMode=CHART&workflowType=machine_learning",
    "git@github.com:me/faces.git and ssh://git@github.com/me/faces.git",
    "numpy==1.26.4\nkeras==2.15.0\nPyJWT==2.10.1\ncryptography==46.0.3",
    "sk-image-model-very-long-name-of-an-experiment-12 after sk-learn-0123456789-01234567890",
    "user@host:/data/faces is mounted; mail me@example.org",
    "stages.2.loss.scale = 64.0, learning_rate.peak = 0.1, weight_decay.form = L2",
)
