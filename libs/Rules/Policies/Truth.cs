namespace DarkStorage.Rules.Policies;

/// <summary>What is known about a statement: whether it matches, or that nobody can tell (a variable without a value, a number that is none).</summary>
/// <remarks>Kleene's logic with three values. Their order makes AND the smaller and OR the larger of two.</remarks>
internal enum Truth
{
    No,
    Unknown,
    Yes,
}

internal static class TruthLogic
{
    public static Truth And(this Truth a, Truth b) => a < b ? a : b;

    public static Truth Or(this Truth a, Truth b) => a > b ? a : b;

    public static Truth Not(this Truth a) => Truth.Yes - (int)a;

    public static Truth ToTruth(this bool value) => value ? Truth.Yes : Truth.No;
}
