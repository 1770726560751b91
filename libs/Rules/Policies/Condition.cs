namespace DarkStorage.Rules.Policies;

/// <summary>One key of a block of conditions with the values that the policy has for it.</summary>
internal sealed record Condition(ConditionOperator Operator, ConditionKey Key, Comparand[] Comparands)
{
    public IEnumerable<ConditionKey> Keys => Comparands.SelectMany(c => c.Variables).Prepend(Key);

    public Truth Test(PolicyRequest request)
    {
        var values = request.Find(Key);
        if (Operator.Kind == ComparisonKind.Null) return TestNull(values.Count == 0).ToTruth();
        if (values.Count == 0) return TestAbsent().ToTruth();

        // Without a quantifier a key has one value. Should it have several, an operator holds when one of them is equal, its negation when none is.
        if (Operator.Quantifier == Quantifier.ForAllValues || (Operator.Quantifier == Quantifier.None && Operator.Negated))
        {
            var all = Truth.Yes;
            for (var i = 0; i < values.Count && all != Truth.No; i++) all = all.And(Test(values[i], request));
            return all;
        }
        var any = Truth.No;
        for (var i = 0; i < values.Count && any != Truth.Yes; i++) any = any.Or(Test(values[i], request));
        return any;
    }

    /// <summary>What AWS says of a key that is not there: <c>ForAllValues</c> holds of no values, <c>ForAnyValue</c> doesn't (AWS is observed not to let
    /// <c>IfExists</c> change that), what is absent equals nothing.</summary>
    private bool TestAbsent() => Operator.Quantifier switch
    {
        Quantifier.ForAllValues => true,
        Quantifier.ForAnyValue => false,
        _ => Operator.IfExists || Operator.Negated,
    };

    private bool TestNull(bool absent)
    {
        foreach (var comparand in Comparands)
        {
            if (((NullComparand)comparand).Absent == absent) return true;
        }
        return false;
    }

    private Truth Test(string value, PolicyRequest request)
    {
        var any = Truth.No;
        foreach (var comparand in Comparands)
        {
            any = any.Or(comparand.Test(value, request));
            if (any == Truth.Yes) break;
        }
        return Operator.Negated ? any.Not() : any;
    }
}
