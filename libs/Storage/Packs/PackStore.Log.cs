using DarkStorage.GrainInterfaces.Objects;
using Microsoft.Extensions.Logging;

namespace DarkStorage.Storage.Packs;

public sealed partial class PackStore
{
    [LoggerMessage(LogLevel.Information, "Opened the blob store: {Packs} packs, {Chunks} chunks")]
    private static partial void LogOpened(ILogger log, int packs, long chunks);

    [LoggerMessage(LogLevel.Debug, "Made pack {Pack:x} of {Bytes} bytes")]
    private static partial void LogPackCreated(ILogger log, uint pack, long bytes);

    [LoggerMessage(LogLevel.Debug, "Unlinked pack {Pack:x}: nothing in it was live")]
    private static partial void LogPackRetired(ILogger log, uint pack);

    [LoggerMessage(LogLevel.Information, "Read the frames of pack {Pack:x}, which had no index: {Frames} frames, {Bytes} bytes")]
    private static partial void LogRescanned(ILogger log, uint pack, int frames, long bytes);

    [LoggerMessage(LogLevel.Error, "Pack {Pack:x} failed and gets no further write")]
    private static partial void LogPackFailed(ILogger log, uint pack, Exception e);

    [LoggerMessage(LogLevel.Error, "Pack {Pack:x} has no readable header; its chunks can't be found and the file is left as it is")]
    private static partial void LogPackUnreadable(ILogger log, uint pack);

    [LoggerMessage(LogLevel.Warning, "Pack {Pack:x} could not be sealed; the next start reads its frames instead of its index")]
    private static partial void LogSealFailed(ILogger log, uint pack, Exception e);

    [LoggerMessage(LogLevel.Warning, "Pack {Pack:x} could not be punched; the space returns when it is compacted")]
    private static partial void LogPunchFailed(ILogger log, uint pack, Exception e);

    [LoggerMessage(LogLevel.Warning, "{File} could not be deleted")]
    private static partial void LogDeleteFailed(ILogger log, string file, Exception e);

    [LoggerMessage(LogLevel.Error, "Chunk {Index} of blob {Blob} in pack {Pack:x} at {Offset} {Problem}")]
    private static partial void LogDamaged(ILogger log, int index, BlobId blob, uint pack, long offset, string problem);

    [LoggerMessage(LogLevel.Information, "Compacted {Packs} packs, {Bytes} live bytes copied, {Left} packs had to stay")]
    private static partial void LogCompacted(ILogger log, int packs, long bytes, int left);

    [LoggerMessage(LogLevel.Critical, "An append failed for a reason that is a defect")]
    private static partial void LogLaneFailed(ILogger log, Exception e);
}
