using DarkStorage.Select.Evaluation;

namespace DarkStorage.Select.Sql;

/// <summary>A parsed expression of S3 Select.</summary>
/// <param name="Items">What is selected; empty for <c>*</c>.</param>
/// <param name="From">The way from the document to its records, after <c>S3Object[*]</c>.</param>
internal sealed record SelectStatement(IReadOnlyList<SelectItem> Items, IReadOnlyList<PathStep> From, Expr? Where, long? Limit)
{
    public bool IsStar => Items.Count == 0;

    public bool HasAggregates { get; init; }
}

/// <param name="Alias">Null where there is none.</param>
internal sealed record SelectItem(Expr Value, string? Alias);

/// <summary>One step of a path: a name, an index, or all elements.</summary>
/// <param name="Name">Null for the others.</param>
/// <param name="Quoted">The case of the name counts.</param>
/// <param name="Index">-1 for all elements.</param>
internal readonly record struct PathStep(string? Name, bool Quoted = false, int Index = -1)
{
    public bool IsWildcard => Name is null && Index < 0;

    public bool Matches(string name) => name.Equals(Name, Quoted ? StringComparison.Ordinal : StringComparison.OrdinalIgnoreCase);
}

/// <summary>A node of the tree.</summary>
/// <param name="Position">Characters into the expression, for messages.</param>
internal abstract record Expr(int Position);

internal sealed record Literal(SelectValue Value, int Position) : Expr(Position);

/// <param name="Steps">After the alias; none: the record itself.</param>
internal sealed record PathExpr(IReadOnlyList<PathStep> Steps, int Position) : Expr(Position);

internal sealed record Negate(Expr Operand, int Position) : Expr(Position);

internal sealed record Not(Expr Operand, int Position) : Expr(Position);

/// <summary>AND or OR over two or more.</summary>
internal sealed record Logical(bool IsAnd, IReadOnlyList<Expr> Operands, int Position) : Expr(Position);

/// <summary><c>=</c>, <c>&lt;&gt;</c>, <c>&lt;</c>, <c>&lt;=</c>, <c>&gt;</c>, <c>&gt;=</c>.</summary>
internal sealed record Comparison(string Operator, Expr Left, Expr Right, int Position) : Expr(Position);

/// <summary><c>+</c>, <c>-</c>, <c>*</c>, <c>/</c>, <c>%</c>.</summary>
internal sealed record Arithmetic(string Operator, Expr Left, Expr Right, int Position) : Expr(Position);

internal sealed record Concat(IReadOnlyList<Expr> Operands, int Position) : Expr(Position);

internal sealed record Between(Expr Operand, Expr Low, Expr High, bool Negated, int Position) : Expr(Position);

internal sealed record In(Expr Operand, IReadOnlyList<Expr> Items, bool Negated, int Position) : Expr(Position);

internal sealed record Like(Expr Operand, Expr Pattern, Expr? Escape, bool Negated, int Position) : Expr(Position);

/// <summary>IS NULL, IS MISSING, IS TRUE, IS FALSE.</summary>
internal sealed record Is(Expr Operand, IsWhat What, bool Negated, int Position) : Expr(Position);

internal enum IsWhat
{
    Null,
    Missing,
    True,
    False,
}

/// <param name="Operand">Null in the searched form, where each WHEN is a condition.</param>
internal sealed record Case(Expr? Operand, IReadOnlyList<(Expr When, Expr Then)> Branches, Expr? Else, int Position) : Expr(Position);

internal sealed record Cast(Expr Operand, CastType Type, int Position) : Expr(Position);

internal enum CastType
{
    Boolean,
    Integer,
    String,
    Float,
    Decimal,
    Timestamp,
}

/// <summary>A function of one of the names in <see cref="Sql.Function"/>; where one has a date part, it is the first argument, a text.</summary>
internal sealed record Call(Function Function, IReadOnlyList<Expr> Arguments, int Position) : Expr(Position);

internal enum Function
{
    Coalesce,
    NullIf,
    Substring,
    TrimBoth,
    TrimLeading,
    TrimTrailing,
    Upper,
    Lower,
    CharLength,
    DateAdd,
    DateDiff,
    Extract,
    ToText,
    ToTimestamp,
    UtcNow,
}

/// <param name="Argument">Null for COUNT(*).</param>
/// <param name="Index">Counted through the select list from 0.</param>
internal sealed record Aggregate(AggregateKind Kind, Expr? Argument, int Index, int Position) : Expr(Position);

internal enum AggregateKind
{
    Count,
    Sum,
    Avg,
    Min,
    Max,
}
