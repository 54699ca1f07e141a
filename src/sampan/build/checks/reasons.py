"""Why each rule is there, in a line: clients show it where they are asked for more."""

REASONS = {
    "StageNameCasing": "the names of stages are written in lowercase",
    "FromAsCasing": "FROM and AS are written in one casing",
    "NoEmptyContinuation": "a blank line in a continued instruction will be an error one day",
    "ConsistentInstructionCasing": "a Dockerfile keeps to one casing of its instructions",
    "DuplicateStageName": "of two stages with one name only the last can be named",
    "ReservedStageName": "a name with a meaning of its own cannot name a stage",
    "JSONArgsRecommended": "a shell in between does not pass signals on to the program",
    "MaintainerDeprecated": "an image's author is a label today",
    "UndefinedArgInFrom": "FROM sees the arguments that stand before the first stage only",
    "WorkdirRelativePath": "what the path is relative to comes from the base image",
    "UndefinedVar": "a variable that nobody sets is empty",
    "MultipleInstructionsDisallowed": "only the last of these instructions has any effect",
    "LegacyKeyValueFormat": "without = the rest of the line is one value",
    "InvalidBaseImagePlatform": "the base image is for another platform than the build",
    "RedundantTargetPlatform": "the target's platform is what FROM takes anyway",
    "SecretsUsedInArgOrEnv": "arguments and variables stay readable in the image",
    "InvalidDefaultArgInFrom": "without --build-arg this FROM names no image",
    "FromPlatformFlagConstDisallowed": "a fixed platform leaves nothing to choose with --platform",
    "CopyIgnoredFile": ".dockerignore keeps this file out of the build context",
    "ExposeProtoCasing": "protocols are written in lowercase",
    "ExposeInvalidFormat": "where a port is published is not said in the image",
    "InvalidDefinitionDescription": "a comment right above describes what it names; leave a blank"
    " line where it does not",
}
