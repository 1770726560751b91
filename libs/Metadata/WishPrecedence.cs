using DarkStorage.GrainInterfaces.Tiers;

namespace DarkStorage.Metadata;

/// <summary>Which of two wishes for one version holds: what both dialects' <c>ON CONFLICT … DO UPDATE SET … WHERE …</c> say of the row that is there (<c>moves</c>) and the one that comes (<c>excluded</c>).</summary>
/// <remarks>An operator's wish holds against all but another operator's; one that failed is tried again when it is wished again. A restore holds against the rules and writers, and gives way to an operator's. It takes the place of
/// an operator's only where that leaves the version archived: one that brings the bytes back does what is wanted, and more.</remarks>
internal static class WishPrecedence
{
    public static readonly string Replace = $"""
        UPDATE SET storage_class = excluded.storage_class, origin = excluded.origin, asked = excluded.asked, due = excluded.due, attempts = 0, failure = NULL
        WHERE CASE excluded.origin
            WHEN {(int)MoveOrigin.Operator} THEN moves.storage_class <> excluded.storage_class OR moves.failure IS NOT NULL OR moves.origin = {(int)MoveOrigin.Restore}
            WHEN {(int)MoveOrigin.Restore} THEN moves.origin <> {(int)MoveOrigin.Operator} OR moves.storage_class IN ({string.Join(", ", Tier.Archives.Select(static c => $"'{c}'"))})
            ELSE moves.storage_class <> excluded.storage_class AND moves.origin NOT IN ({(int)MoveOrigin.Operator}, {(int)MoveOrigin.Restore})
        END
        """;
}
