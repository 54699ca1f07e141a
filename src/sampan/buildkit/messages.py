"""The messages of BuildKit's services, by the numbers their clients know.

Only the fields that are read or written here; a client's other fields are skipped. Sources:
moby/buildkit api/services/control, frontend/gateway/pb and session/*; tonistiigi/fsutil types;
google.rpc.Status.
"""

from __future__ import annotations

from sampan.buildkit.wire import BOOL, BYTES, INT, STRING, UINT, Map, Repeated, Shape

EMPTY = Shape("Empty")
DATA = Shape("BytesMessage", data=(1, BYTES))
TIMESTAMP = Shape("google.protobuf.Timestamp", seconds=(1, INT), nanos=(2, INT))
ANY = Shape("google.protobuf.Any", type_url=(1, STRING), value=(2, BYTES))
STATUS = Shape("google.rpc.Status", code=(1, INT), message=(2, STRING), details=(3, Repeated(ANY)))
PLATFORM = Shape("pb.Platform", Architecture=(1, STRING), OS=(2, STRING), Variant=(3, STRING))

# moby.buildkit.v1.Control
ENTRY = Shape("CacheOptionsEntry", Type=(1, STRING), Attrs=(2, Map(STRING)))
CACHE = Shape("CacheOptions", Exports=(4, Repeated(ENTRY)), Imports=(5, Repeated(ENTRY)))
EXPORTER = Shape("Exporter", Type=(1, STRING), Attrs=(2, Map(STRING)))
SOLVE = Shape(
    "control.SolveRequest",
    Ref=(1, STRING),
    Definition=(2, BYTES),
    ExporterDeprecated=(3, STRING),
    ExporterAttrsDeprecated=(4, Map(STRING)),
    Session=(5, STRING),
    Frontend=(6, STRING),
    FrontendAttrs=(7, Map(STRING)),
    Cache=(8, CACHE),
    Entitlements=(9, Repeated(STRING)),
    FrontendInputs=(10, Map(BYTES)),
    Internal=(11, BOOL),
    Exporters=(13, Repeated(EXPORTER)),
)
SOLVED = Shape("control.SolveResponse", ExporterResponse=(1, Map(STRING)))
STATUS_REQUEST = Shape("control.StatusRequest", Ref=(1, STRING))
VERTEX = Shape(
    "control.Vertex",
    digest=(1, STRING),
    inputs=(2, Repeated(STRING)),
    name=(3, STRING),
    cached=(4, BOOL),
    started=(5, TIMESTAMP),
    completed=(6, TIMESTAMP),
    error=(7, STRING),
)
VERTEX_STATUS = Shape(
    "control.VertexStatus",
    ID=(1, STRING),
    vertex=(2, STRING),
    name=(3, STRING),
    current=(4, INT),
    total=(5, INT),
    timestamp=(6, TIMESTAMP),
    started=(7, TIMESTAMP),
    completed=(8, TIMESTAMP),
)
VERTEX_LOG = Shape(
    "control.VertexLog",
    vertex=(1, STRING),
    timestamp=(2, TIMESTAMP),
    stream=(3, INT),
    msg=(4, BYTES),
)
POSITION = Shape("pb.Position", line=(1, INT), character=(2, INT))
RANGE = Shape("pb.Range", start=(1, POSITION), end=(2, POSITION))
SOURCE_INFO = Shape("pb.SourceInfo", filename=(1, STRING), data=(2, BYTES), language=(4, STRING))
VERTEX_WARNING = Shape(
    "control.VertexWarning",
    vertex=(1, STRING),
    level=(2, INT),
    short=(3, BYTES),
    detail=(4, Repeated(BYTES)),
    url=(5, STRING),
    info=(6, SOURCE_INFO),
    ranges=(7, Repeated(RANGE)),
)
STATUS_RESPONSE = Shape(
    "control.StatusResponse",
    vertexes=(1, Repeated(VERTEX)),
    statuses=(2, Repeated(VERTEX_STATUS)),
    logs=(3, Repeated(VERTEX_LOG)),
    warnings=(4, Repeated(VERTEX_WARNING)),
)
VERSION = Shape(
    "BuildkitVersion",
    package=(1, STRING),
    version=(2, STRING),
    revision=(3, STRING),
    dockerfileVersion=(4, STRING),
)
WORKER = Shape(
    "WorkerRecord",
    ID=(1, STRING),
    Labels=(2, Map(STRING)),
    platforms=(3, Repeated(PLATFORM)),
    BuildkitVersion=(5, VERSION),
)
WORKERS = Shape("control.ListWorkersResponse", record=(1, Repeated(WORKER)))
INFO = Shape("control.InfoResponse", buildkitVersion=(1, VERSION))
USAGE = Shape(
    "control.UsageRecord",
    ID=(1, STRING),
    Mutable=(2, BOOL),
    InUse=(3, BOOL),
    Size=(4, INT),
    CreatedAt=(6, TIMESTAMP),
    LastUsedAt=(7, TIMESTAMP),
    UsageCount=(8, INT),
    Description=(9, STRING),
    RecordType=(10, STRING),
    Shared=(11, BOOL),
)
DISK_USAGE = Shape("control.DiskUsageResponse", record=(1, Repeated(USAGE)))
PRUNE = Shape(
    "control.PruneRequest",
    filter=(1, Repeated(STRING)),
    all=(2, BOOL),
    keepDuration=(3, INT),  # nanoseconds
    reservedSpace=(4, INT),
    maxUsedSpace=(5, INT),
    minFreeSpace=(6, INT),
)
HISTORY = Shape("control.BuildHistoryRequest", Ref=(2, STRING), EarlyExit=(3, BOOL))

# moby.buildkit.v1.frontend.LLBBridge
REF = Shape("gateway.Ref", id=(1, STRING))
RESULT = Shape(
    "gateway.Result",
    refDeprecated=(1, STRING),
    ref=(3, REF),
    metadata=(10, Map(BYTES)),
)
GATEWAY_SOLVE = Shape(
    "gateway.SolveRequest",
    Definition=(1, BYTES),
    Frontend=(2, STRING),
    FrontendOpt=(3, Map(STRING)),
    CacheImports=(12, Repeated(ENTRY)),
    FrontendInputs=(13, Map(BYTES)),
    Evaluate=(14, BOOL),
)
GATEWAY_SOLVED = Shape("gateway.SolveResponse", ref=(1, STRING), result=(3, RESULT))
CAP = Shape("apicaps.APICap", ID=(1, STRING), Enabled=(2, BOOL))
PONG = Shape(
    "gateway.PongResponse",
    FrontendAPICaps=(1, Repeated(CAP)),
    LLBCaps=(2, Repeated(CAP)),
    Workers=(3, Repeated(WORKER)),
)
RETURN = Shape("gateway.ReturnRequest", result=(1, RESULT), error=(2, STATUS))
REF_REQUEST = Shape("gateway.EvaluateRequest", Ref=(1, STRING))

# The client's own services
STAT = Shape(
    "fsutil.Stat",
    path=(1, STRING),
    mode=(2, UINT),
    uid=(3, UINT),
    gid=(4, UINT),
    size=(5, INT),
    modTime=(6, INT),
    linkname=(7, STRING),
    devmajor=(8, INT),
    devminor=(9, INT),
    xattrs=(10, Map(BYTES)),
)
PACKET = Shape("fsutil.Packet", type=(1, UINT), stat=(2, STAT), ID=(3, UINT), data=(4, BYTES))
HEALTH = Shape("HealthCheckResponse", status=(1, INT))
HOST = Shape("auth.CredentialsRequest", Host=(1, STRING))
CREDENTIALS = Shape("auth.CredentialsResponse", Username=(1, STRING), Secret=(2, STRING))
SECRET = Shape("secrets.GetSecretRequest", ID=(1, STRING))
AGENT = Shape("ssh.CheckAgentRequest", ID=(1, STRING))

# containerd.services.content.v1.Content, which clients serve for caches in their directories
CONTENT_WANTED = Shape("content.InfoRequest", digest=(1, STRING))
CONTENT_READ = Shape("content.ReadContentRequest", digest=(1, STRING))
CONTENT_PIECE = Shape("content.ReadContentResponse", offset=(1, INT), data=(2, BYTES))
CONTENT_WRITE = Shape(
    "content.WriteContentRequest",
    action=(1, INT),
    ref=(2, STRING),
    total=(3, INT),
    expected=(4, STRING),
    offset=(5, INT),
    data=(6, BYTES),
)
CONTENT_WRITTEN = Shape("content.WriteContentResponse", action=(1, INT), offset=(4, INT))
