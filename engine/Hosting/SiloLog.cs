using Microsoft.Extensions.Logging;
using Orleans.Runtime;

namespace DarkStorage.Engine;

/// <summary>What the engine has to say.</summary>
internal sealed partial class SiloLog(ILogger log)
{
    [LoggerMessage(LogLevel.Information, "Silo {Name} at {Address} runs the grains of cluster {Cluster} (embedded engine)")]
    public partial void Started(string name, SiloAddress address, string cluster);

    [LoggerMessage(LogLevel.Information, "Silo {Name} at {Address} has stopped")]
    public partial void Stopped(string name, SiloAddress address);

    [LoggerMessage(LogLevel.Warning, "Silo {Address} ran out of time to stop: {Count} activations were not deactivated")]
    public partial void DrainCutShort(int count, SiloAddress address);

    [LoggerMessage(LogLevel.Error, "Silo {Name} at {Address} has lost its lease ({Reason}): it serves nothing until it has joined again")]
    public partial void Fenced(string name, SiloAddress address, string reason);

    [LoggerMessage(LogLevel.Warning, "Silo {Name} could not join again yet, and tries on: {Why}")]
    public partial void NotJoinedYet(string name, string why);

    [LoggerMessage(LogLevel.Critical, "Silo {Name} can not join again, and its program ends: {Why}")]
    public partial void CannotJoinAgain(string name, string why);

    [LoggerMessage(LogLevel.Warning, "A part of silo {Address}, which has lost its lease, failed to stop")]
    public partial void StopFailed(Exception error, SiloAddress address);

    [LoggerMessage(LogLevel.Warning, "Silo {Name} can't reach {Others}, or they not it: it waits until it does")]
    public partial void WaitsForOthers(string name, string others);

    [LoggerMessage(LogLevel.Information, "Membership version {Version}: {Active} active silos, seen by {Address}")]
    public partial void Members(long version, int active, SiloAddress address);

    [LoggerMessage(LogLevel.Warning, "The membership could not be read or written by {Address}; the lease runs on")]
    public partial void MembershipFailed(Exception error, SiloAddress address);

    [LoggerMessage(LogLevel.Warning, "{Silo} did not say in time that it has let {Grain} go: the grain is activated without it")]
    public partial void NotGivenUp(Exception error, GrainId grain, SiloAddress silo);

    [LoggerMessage(LogLevel.Information, "A connection to the silo port was refused or ended early: {Reason}")]
    public partial void ConnectionRefused(string reason);

    [LoggerMessage(LogLevel.Error, "{Grain} could not be activated")]
    public partial void ActivationFailed(Exception error, GrainId grain);

    [LoggerMessage(LogLevel.Warning, "{Grain} failed while it was deactivated")]
    public partial void DeactivationFailed(Exception error, GrainId grain);

    [LoggerMessage(LogLevel.Error, "A timer of {Grain} failed")]
    public partial void TimerFailed(Exception error, GrainId grain);

    [LoggerMessage(LogLevel.Warning, "One-way call {Method} of {Grain} failed")]
    public partial void OneWayFailed(Exception error, string method, GrainId grain);

    [LoggerMessage(LogLevel.Warning, "{Count} one-way calls of silo {Silo} were dropped: too many of its calls are at work here")]
    public partial void OneWaysDropped(long count, SiloAddress silo);

    [LoggerMessage(LogLevel.Error, "A turn of {Grain} failed")]
    public partial void TurnFailed(Exception error, GrainId grain);

    [LoggerMessage(LogLevel.Warning, "Reminder {Name} of {Grain} failed; its next tick tries again")]
    public partial void ReminderFailed(Exception error, string name, GrainId grain);

    [LoggerMessage(LogLevel.Warning, "The reminder table could not be read; known reminders go on")]
    public partial void ReminderRefreshFailed(Exception error);
}
