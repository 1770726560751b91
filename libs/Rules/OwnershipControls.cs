namespace DarkStorage.Rules;

/// <summary>A bucket's setting of <see cref="ObjectOwnership"/>.</summary>
public sealed record OwnershipControls(ObjectOwnership Ownership);
