using System.Diagnostics.CodeAnalysis;

namespace DarkStorage.Engine;

/// <summary>What one deep copy has copied so far, so that shared references stay shared and cycles end.</summary>
internal sealed class CopyContext
{
    private const int LinearMax = 8;

    [ThreadStatic]
    private static CopyContext? t_free;

    private readonly object?[] _originals = new object?[LinearMax];
    private readonly object?[] _copies = new object?[LinearMax];
    private Dictionary<object, object>? _more;
    private int _count;

    public static CopyContext Rent()
    {
        var context = t_free ?? new CopyContext();
        t_free = null;
        return context;
    }

    public void Return()
    {
        Array.Clear(_originals, 0, _count);
        Array.Clear(_copies, 0, _count);
        _count = 0;
        _more = null;   // a large graph's table is not worth keeping on every thread
        t_free = this;
    }

    public bool TryGet(object original, [NotNullWhen(true)] out object? copy)
    {
        for (var i = 0; i < _count; i++)
        {
            if (!ReferenceEquals(_originals[i], original)) continue;
            copy = _copies[i]!;
            return true;
        }

        copy = null;
        return _more is not null && _more.TryGetValue(original, out copy);
    }

    public void Add(object original, object copy)
    {
        if (_count < LinearMax)
        {
            _originals[_count] = original;
            _copies[_count++] = copy;
        }
        else
        {
            (_more ??= new(ReferenceEqualityComparer.Instance)).Add(original, copy);
        }
    }
}
