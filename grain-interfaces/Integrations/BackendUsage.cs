using Orleans;

namespace DarkStorage.GrainInterfaces.Integrations;

/// <summary>What went through a backend.</summary>
/// <param name="Calls">Each attempt counts.</param>
/// <param name="Failures">Of the calls. That a blob is not there, or is cold, is an answer and none.</param>
/// <param name="BytesWritten">Bytes that were sent, again for each attempt.</param>
/// <param name="Busy">Time from asking to the answer, of all calls together: with their number it is the latency.</param>
[GenerateSerializer, Immutable, Alias("backend-usage")]
public sealed record BackendUsage(long Calls, long Failures, long BytesWritten, long BytesRead, TimeSpan Busy)
{
    public static readonly BackendUsage None = new(0, 0, 0, 0, TimeSpan.Zero);

    public static BackendUsage operator +(BackendUsage a, BackendUsage b) =>
        new(a.Calls + b.Calls, a.Failures + b.Failures, a.BytesWritten + b.BytesWritten, a.BytesRead + b.BytesRead, a.Busy + b.Busy);
}
