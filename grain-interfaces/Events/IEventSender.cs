using Orleans;

namespace DarkStorage.GrainInterfaces.Events;

/// <summary>Takes events out of the cluster.</summary>
public interface IEventSender
{
    /// <summary>One attempt, bounded in time. It never throws for what the target does.</summary>
    /// <param name="url">http or https.</param>
    /// <param name="secret">What the message is signed with; null leaves it unsigned.</param>
    /// <param name="sequence">The event's; 0 for a test.</param>
    Task<EventAnswer> SendAsync(Uri url, string? secret, long sequence, ReadOnlyMemory<byte> document, CancellationToken ct);
}

/// <summary>What became of one attempt.</summary>
/// <param name="Detail">For the operator: a status, or why there was none.</param>
[GenerateSerializer, Immutable, Alias("event-answer")]
public sealed record EventAnswer(EventOutcome Outcome, string Detail);

public enum EventOutcome : byte
{
    /// <summary>The target answered 2xx.</summary>
    Delivered,

    /// <summary>The target is there and does not take this event. Others may be taken.</summary>
    Refused,

    /// <summary>The target does not answer, or says that it can't now: the others would fare no better.</summary>
    Unavailable,
}
