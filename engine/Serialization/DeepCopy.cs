using Orleans.Serialization;

namespace DarkStorage.Engine;

/// <summary>Copies values of one declared type. Built once per type, by <see cref="Copiers"/>.</summary>
internal static class DeepCopy<T>
{
    private static readonly Copier<T> Built = Copiers.Build<T>();

    /// <summary>No value of this type ever changes, nor of a type derived from it: it is passed as it is.</summary>
    public static bool IsImmutable { get; } = Built is { Error: null, Copy: null };

    public static T Copy(T value, CopyContext context)
    {
        if (IsImmutable) return value;
        if (Built.Error is { } error) throw new CodecNotFoundException(error);
        return value is null ? value : Built.Copy!(value, context);
    }

    public static T Copy(T value)
    {
        if (IsImmutable) return value;
        var context = CopyContext.Rent();
        try
        {
            return Copy(value, context);
        }
        finally
        {
            context.Return();
        }
    }
}

/// <summary>How one type is copied: not at all (immutable), by <see cref="Copy"/>, or never, for the reason in <see cref="Error"/>.</summary>
internal readonly record struct Copier<T>(Func<T, CopyContext, T>? Copy, string? Error)
{
    public static Copier<T> Immutable => default;

    public static Copier<T> By(Func<T, CopyContext, T> copy) => new(copy, null);
}
