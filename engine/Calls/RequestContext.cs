using DarkStorage.Engine;

namespace Orleans.Runtime;

/// <summary>Values that travel with a call, and with the calls made because of it.</summary>
public static class RequestContext
{
    private const string ReentrancyKey = "#reentrancy";

    // Never changed once set: a set makes a new dictionary, so calls may carry the old one without a copy.
    private static readonly AsyncLocal<Dictionary<string, object>?> Values = new();

    /// <summary>Names the call chain that may call back into an activation that allowed it; empty when there is none.</summary>
    public static Guid ReentrancyId
    {
        get => ReentrancyIdOf(Values.Value);
        set
        {
            if (value == Guid.Empty) Remove(ReentrancyKey);
            else Set(ReentrancyKey, value);
        }
    }

    public static IEnumerable<string> Keys => Values.Value?.Keys.Where(key => key != ReentrancyKey) ?? [];

    public static IEnumerable<KeyValuePair<string, object>> Entries => Values.Value?.Where(entry => entry.Key != ReentrancyKey) ?? [];

    internal static Dictionary<string, object>? Current
    {
        get => Values.Value;
        set => Values.Value = value;
    }

    public static object? Get(string key) => Values.Value?.GetValueOrDefault(key);

    public static void Set(string key, object value) =>
        Values.Value = new(Values.Value ?? []) { [key] = value };

    public static bool Remove(string key)
    {
        if (Values.Value is not { } values || !values.ContainsKey(key)) return false;
        var rest = new Dictionary<string, object>(values);
        rest.Remove(key);
        Values.Value = rest.Count > 0 ? rest : null;
        return true;
    }

    public static void Clear()
    {
        if (Values.Value is not null) Values.Value = null;
    }

    /// <summary>Until disposed, calls made because of what this grain now calls may interleave with the call that runs.</summary>
    public static ReentrancySection AllowCallChainReentrancy()
    {
        var original = ReentrancyId;
        var id = original == Guid.Empty ? Guid.NewGuid() : original;
        ReentrancyId = id;
        Activation.Current?.EnterReentrantSection(id);
        return new(original, id);
    }

    /// <summary>Until disposed, calls made from here may not call back into this grain.</summary>
    public static ReentrancySection SuppressCallChainReentrancy()
    {
        var original = ReentrancyId;
        ReentrancyId = Guid.Empty;
        return new(original, Guid.Empty);
    }

    internal static Guid ReentrancyIdOf(Dictionary<string, object>? values) =>
        values is not null && values.TryGetValue(ReentrancyKey, out var value) && value is Guid id ? id : Guid.Empty;

    /// <summary>The values as a call carries them: copied, since the caller may change them while the call waits.</summary>
    internal static Dictionary<string, object>? Export()
    {
        if (Values.Value is not { Count: > 0 } values) return null;
        var copies = new Dictionary<string, object>(values.Count);
        foreach (var (key, value) in values) copies.Add(key, DeepCopy<object>.Copy(value));
        return copies;
    }

    public readonly struct ReentrancySection : IDisposable
    {
        private readonly Guid _original;
        private readonly Guid _entered;

        public ReentrancySection(Guid originalReentrancyId, Guid newReentrancyId)
        {
            _original = originalReentrancyId;
            _entered = newReentrancyId;
        }

        public void Dispose()
        {
            if (_entered != Guid.Empty) Activation.Current?.LeaveReentrantSection(_entered);
            ReentrancyId = _original;
        }
    }
}
